"""What a training says at its end: the best epoch, its checkpoint, and the command that tests it."""

import shlex
import sys
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_abkd._utils import three_digits
from lightning_abkd.cli._checkpoint import is_there, read_without_weights
from lightning_abkd.cli._saved_config import SavedConfig
from lightning_abkd.training import callbacks_of


class EndReport(Callback):
    """Writes three lines after a training that kept a checkpoint."""

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the lines."""
        if trainer.is_global_zero and (lines := report(trainer)):
            sys.stdout.write("\n".join(lines) + "\n")


def report(trainer: Trainer) -> list[str]:
    """Return the lines, none for a training without a checkpoint."""
    kept = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint) and each.best_model_path]
    # One that watches a metric knows which epoch is the best.
    kept.sort(key=lambda callback: callback.monitor is None)
    if not kept:
        return []
    path = Path(kept[0].best_model_path)
    lines = [_epoch_line(trainer, kept[0], path), f"Checkpoint: {_near(path)}"]
    saved = next((each.path for each in callbacks_of(trainer) if isinstance(each, SavedConfig)), None)
    return lines if saved is None else [*lines, f"Test it:    {command_of_test(saved, path)}"]


def _epoch_line(trainer: Trainer, callback: ModelCheckpoint, path: Path) -> str:
    number = _epoch(path)
    epoch = "unknown" if number is None else f"{number} of {trainer.current_epoch}"
    score = callback.best_model_score
    if callback.monitor is None or score is None:
        return f"Last epoch kept: {epoch}"
    return f"Best epoch: {epoch}, {callback.monitor} {three_digits(float(score))}"


def command_of_test(config: Path, checkpoint: Path) -> str:
    """Return the command that tests a checkpoint, as a shell takes it."""
    words = ["abkd", "test", "--config", str(_near(config)), "--ckpt_path", str(_near(checkpoint))]
    return shlex.join(words)


def _epoch(path: Path) -> int | None:
    """Return the number of a checkpoint's epoch, counted from 1; None for one that cannot be read here."""
    if not is_there(path):
        return None
    return int(read_without_weights(path)["epoch"]) + 1


def _near(path: Path) -> Path:
    """Return a path as seen from the working directory if it is below that."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
