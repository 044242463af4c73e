"""What a validation measured: a table on a terminal, one line per epoch in a file."""

import sys
import time
from collections.abc import Mapping

from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_abkd._utils import three_digits
from lightning_abkd.cli._numbers import scalars
from lightning_abkd.cli._progress_bar import SHOWN, epoch_name

_OWNERS = ("student", "teacher")
# What a line of a file says of a validation, where it was measured.
_KEY_METRICS = ("loss", "accuracy", "perplexity", "agreement")


class EvaluationTable(Callback):
    """Writes a table after each validation of a training, with student and teacher beside each other."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table above the progress bar."""
        if trainer.sanity_checking or trainer.state.fn != "fit" or not trainer.is_global_zero:
            return
        measured = scalars(trainer.callback_metrics, "val")
        if measured and trainer.progress_bar_callback is not None:
            trainer.progress_bar_callback.print("\n".join(table(f"{epoch_name(trainer)}, validation", measured)))


class EpochLines(Callback):
    """Writes one line per epoch, for output that goes to a file; one more for each validation within an epoch."""

    def __init__(self) -> None:
        self._start = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time."""
        self._start = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write a line if the epoch goes on."""
        if not trainer.sanity_checking and trainer.state.fn == "fit" and not trainer.is_last_batch:
            self._write(trainer, f"{epoch_name(trainer)}, step {trainer.global_step}")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the line of the epoch."""
        self._write(trainer, f"{epoch_name(trainer)}, {time.monotonic() - self._start:.0f} s")

    def _write(self, trainer: Trainer, head: str) -> None:
        if trainer.is_global_zero:
            train, val = (scalars(trainer.callback_metrics, stage) for stage in ("train", "val"))
            sys.stdout.write(f"{line(head, train, val)}\n")
            sys.stdout.flush()


def table(head: str, measured: Mapping[str, float]) -> list[str]:
    """Lay out metrics by name, the student's and the teacher's beside each other.

    Example:
        >>> table("Epoch 1", {"accuracy": 0.9, "teacher_accuracy": 0.95})
        ['Epoch 1       student    teacher', '  accuracy      0.900      0.950']
    """
    rows: dict[str, dict[str, float]] = {}
    for name, value in measured.items():
        place, _, last = name.rpartition("/")
        owner = next((owner for owner in _OWNERS if last.startswith(f"{owner}_")), None)
        plain = last.removeprefix(f"{owner}_")
        rows.setdefault(f"{place}/{plain}".lstrip("/"), {})[owner or "student"] = value
    width = max(len(head), *(len(name) + 2 for name in rows))
    lines = [f"{head:<{width}}{'student':>11}{'teacher':>11}"]
    for name in sorted(rows):
        cells = [three_digits(rows[name][owner]) if owner in rows[name] else "" for owner in _OWNERS]
        lines.append(f"{'  ' + name:<{width}}{cells[0]:>11}{cells[1]:>11}".rstrip())
    return lines


def line(head: str, train: Mapping[str, float], val: Mapping[str, float]) -> str:
    """Write the key numbers in one line."""
    names = {name.removeprefix("train/"): shown for name, shown in SHOWN.items()}
    parts = [f"{shown} {three_digits(train[name])}" for name, shown in names.items() if name in train]
    for name in _KEY_METRICS:
        if name in val:
            teacher = f" (teacher {three_digits(val[f'teacher_{name}'])})" if f"teacher_{name}" in val else ""
            parts.append(f"val/{name} {three_digits(val[name])}{teacher}")
    return f"{head}: {', '.join(parts)}" if parts else head
