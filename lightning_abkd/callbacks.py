"""Lightning callbacks, by the addresses that configs name.

Schedulers lie in `lightning_abkd.training`, callbacks of language models in `lightning_abkd.language.callbacks`: open
the one you need.
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
    )
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
            "lightning_abkd.training": ["AlphaBetaScheduler", "HyperparameterScheduler"],
        },
    )
