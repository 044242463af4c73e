"""What `abkd predict` writes unless the config says otherwise."""

from lightning.pytorch import LightningDataModule, LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter

from lightning_abkd.callbacks import PredictionWriter
from lightning_abkd.data import ImageDataModule
from lightning_abkd.modules import DistillationModule
from lightning_abkd.training import callbacks_of


def write_predictions(trainer: Trainer, module: LightningModule, data: LightningDataModule | None) -> None:
    """Add a `PredictionWriter` to a trainer that will predict images and has nothing that writes them.

    A module with a `predict_step` of its own may predict something else, and is left alone.
    """
    callbacks = callbacks_of(trainer)
    writes = any(isinstance(callback, BasePredictionWriter) for callback in callbacks)
    classifies = type(module).predict_step is DistillationModule.predict_step
    if classifies and isinstance(data, ImageDataModule) and not writes:
        callbacks.append(PredictionWriter())
