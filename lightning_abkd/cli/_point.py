"""One training of a sweep."""

from typing import Any

from lightning.pytorch import LightningModule

from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._errors import fail


class _Point(AbkdCLI):
    """One training of a sweep: it keeps nothing but its log, and survives a loss that becomes NaN."""

    diverged = False

    def before_instantiate_classes(self) -> None:
        """Leave out what saves the student; refuse what would move α and β."""
        trainer = self.config["fit"].trainer
        callbacks = trainer.callbacks if isinstance(trainer.callbacks, list) else [trainer.callbacks]
        named = {id(callback): callback.class_path.rpartition(".")[2] for callback in callbacks if callback}
        if "AlphaBetaScheduler" in named.values():
            fail(
                "A sweep sets α and β. Found an AlphaBetaScheduler, which moves them; "
                "leave it out of the config, or all callbacks with `--trainer.callbacks null`."
            )
        saving = ("ModelCheckpoint", "SavePretrained")
        trainer.callbacks = [x for x in callbacks if x and named[id(x)] not in saving] or None

    def fit(self, model: LightningModule, **options: Any) -> None:
        """Train until the end or the first NaN."""
        try:
            self.trainer.fit(model, **options)
        except FloatingPointError:
            self.diverged = True


def train_point(options: list[str]) -> dict[str, float] | None:
    """Train with options of `fit` and give what was measured last; None if the loss became NaN."""
    cli = _Point(["fit", *options])
    return None if cli.diverged else {name: x.item() for name, x in cli.trainer.callback_metrics.items()}
