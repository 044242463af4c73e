"""Callbacks for image classifiers.

Here: what is written while images are classified. Not here: schedulers (`lightning_abkd.training`).
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.vision.callbacks._prediction_writer import PredictionWriter as PredictionWriter
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.vision.callbacks._prediction_writer": ["PredictionWriter"],
        },
    )
