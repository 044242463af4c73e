"""Lightning callbacks, under the paths that configs use.

This file only lists names. Schedulers are defined in `lightning_abkd.training`, those for images in
`lightning_abkd.vision.callbacks`, those of language models in `lightning_abkd.language.callbacks`.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.language.callbacks import (
        CachedTeacher as CachedTeacher,
        ResponseEvaluation as ResponseEvaluation,
        ResponseWriter as ResponseWriter,
        SavePretrained as SavePretrained,
    )
    from lightning_abkd.training import (
        AlphaBetaScheduler as AlphaBetaScheduler,
        HyperparameterScheduler as HyperparameterScheduler,
        NonFiniteGuard as NonFiniteGuard,
        SignalCheckpoint as SignalCheckpoint,
    )
    from lightning_abkd.vision.callbacks import PredictionWriter as PredictionWriter
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.language.callbacks": [
                "CachedTeacher",
                "ResponseEvaluation",
                "ResponseWriter",
                "SavePretrained",
            ],
            "lightning_abkd.training": [
                "AlphaBetaScheduler",
                "HyperparameterScheduler",
                "NonFiniteGuard",
                "SignalCheckpoint",
            ],
            "lightning_abkd.vision.callbacks": ["PredictionWriter"],
        },
    )
