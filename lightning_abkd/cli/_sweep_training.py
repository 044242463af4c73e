"""One training of a sweep."""

from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule

from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._errors import fail

_SAVES_THE_STUDENT = ("ModelCheckpoint", "SavePretrained")


class SweepTraining(AbkdCLI):
    """A training that keeps nothing but its log, and survives a loss that becomes NaN.

    Attributes:
        diverged: True after a training whose loss became NaN.
    """

    diverged = False

    def before_instantiate_classes(self) -> None:
        """Remove the callbacks that save the student; exit with an error if one would move α and β."""
        trainer = self.config["fit"].trainer
        given = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        callbacks = [callback for callback in given if callback]
        if "AlphaBetaScheduler" in map(_class_name, callbacks):
            fail(
                "A sweep sets α and β. Found an AlphaBetaScheduler, which moves them; "
                "leave it out of the config, or all callbacks with `--trainer.callbacks null`."
            )
        trainer.callbacks = [x for x in callbacks if _class_name(x) not in _SAVES_THE_STUDENT] or None

    def fit(self, model: LightningModule, **options: Any) -> None:
        """Train until the end or the first NaN."""
        try:
            self.trainer.fit(model, **options)
        except FloatingPointError:
            self.diverged = True


def train_point(options: list[str]) -> dict[str, float] | None:
    """Train with options of `abkd fit`.

    Returns:
        The last value of everything that was logged; None if the loss became NaN.
    """
    training = SweepTraining(["fit", *options])
    if training.diverged:
        return None
    return {name: value.item() for name, value in training.trainer.callback_metrics.items()}


def _class_name(callback: Namespace) -> str:
    class_path: str = callback.class_path
    return class_path.rpartition(".")[2]
