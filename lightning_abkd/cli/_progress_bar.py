"""The progress bar of a training: one line of a terminal of 80 columns."""

import sys
from collections.abc import Mapping

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm

from lightning_abkd.cli._numbers import narrow

# What the bar shows of what a module logs, in this order.
SHOWN = {
    "train/loss": "loss",
    "train/task_loss": "task",
    "train/divergence": "div",
    "train/alpha": "α",
    "train/beta": "β",
}
_MOST_VALUES = 5
# What Lightning lets a bar show.
Value = int | str | float | dict[str, float]
_LONGEST_NAME = 12


class _Bar(Tqdm):
    """A bar whose values are written without commas, so that five of them fit."""

    def set_postfix(self, values: Mapping[str, object]) -> None:
        """Write values behind the bar."""
        self.set_postfix_str(" ".join(f"{name} {value}" for name, value in values.items()))


class DistillationBar(TQDMProgressBar):
    """Shows loss, task loss, divergence, α and β; of a module that logs none of them its own values on the bar.

    Everything else is in the logger and in the table after each validation. A `ProgressBar` among the trainer's
    callbacks replaces this one, and `enable_progress_bar: false` hides it.
    """

    BAR_FORMAT = "{desc}{n_fmt}/{total_fmt} {bar} {remaining}{postfix}"

    def __init__(self) -> None:
        super().__init__()
        self._constants: dict[str, float] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the bar, and read α and β, which are logged only where they move."""
        super().on_train_start(trainer, pl_module)
        divergence = getattr(pl_module, "divergence", None)
        numbers = {f"train/{name}": getattr(divergence, name, None) for name in ("alpha", "beta")}
        self._constants = {name: float(value) for name, value in numbers.items() if value is not None}

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar of an epoch."""
        super().on_train_epoch_start(trainer, pl_module)
        self.train_progress_bar.set_description(epoch_name(trainer))

    def init_train_tqdm(self) -> Tqdm:
        """Open the bar of the training."""
        return _Bar(
            desc=f"{self.train_description}: ",
            disable=self.is_disabled,
            dynamic_ncols=True,
            file=sys.stdout,
            smoothing=0,
            bar_format=self.BAR_FORMAT,
        )

    def init_validation_tqdm(self) -> Tqdm:
        """Open the bar of a validation, which goes away in favour of the table."""
        bar = super().init_validation_tqdm()
        bar.leave = False
        return bar

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Value]:
        """Return what the bar shows: none of the values of a sanity check."""
        if trainer.sanity_checking:
            return {}
        logged = {name: float(value) for name, value in trainer.progress_bar_metrics.items()}
        known = {SHOWN[name]: logged.get(name, self._constants.get(name)) for name in SHOWN}
        shown: dict[str, Value] = {name: narrow(value) for name, value in known.items() if value is not None}
        if logged.keys().isdisjoint(SHOWN):
            own = list(logged.items())[:_MOST_VALUES]
            return {name.rpartition("/")[2][:_LONGEST_NAME]: narrow(value) for name, value in own}
        return shown


def epoch_name(trainer: Trainer) -> str:
    """Return the number of the epoch, counted from 1, and that of all epochs where it is known."""
    total = trainer.max_epochs
    last = f"/{total}" if total is not None and total > 0 else ""
    return f"Epoch {trainer.current_epoch + 1}{last}"
