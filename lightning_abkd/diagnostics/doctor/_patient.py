"""What the doctor examines: a module in its trainer with the first training batch, before any step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lightning_abkd.training import Batch, DistillationModule, Signals, datamodule_of, eval_mode, tensors_in

# Logits that are materialised for the examination: a quarter of a gigabyte in float32.
_MOST_LOGITS = 2**26
_USUAL_VOCABULARY = 2**16
# What a module may add to a batch of tokens about the whole of it.
_OF_WHOLE_BATCH = ("counted",)


@dataclass
class Patient:
    """A module in its trainer, as it is before its first step.

    Args:
        module: The module.
        trainer: Its trainer, in a fit.
        batch: The first training batch, on the device.
    """

    module: DistillationModule
    trainer: Trainer
    batch: Batch

    @property
    def teacher(self) -> nn.Module | None:
        """The live teacher, or None."""
        return self.module.teacher

    @property
    def data(self) -> object:
        """The data module, or None."""
        return datamodule_of(self.module)

    @cached_property
    def rows(self) -> Batch:
        """The first rows of the batch, so many that their logits fit into memory."""
        return first_rows(self.batch, rows_that_fit(self.batch))

    @cached_property
    def signals(self) -> Signals:
        """The named tensors of the first rows, in eval mode and without gradient."""
        return self.signals_of(self.rows)

    def signals_of(self, batch: Batch) -> Signals:
        """Compute the named tensors of a batch in eval mode and without gradient."""
        with self.evaluation():
            return self.module.signals(batch)

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Evaluate in the precision of the trainer; afterwards each part of the module is in its own mode again."""
        with eval_mode(self.module), self.trainer.precision_plugin.val_step_context():
            yield


def is_text(batch: object) -> bool:
    """Return True for a batch of tokens."""
    return isinstance(batch, Mapping) and isinstance(batch.get("input_ids"), Tensor)


def rows_that_fit(batch: Batch) -> int:
    """Return of how many rows of a batch the logits are materialised: all of images, few of long texts."""
    if not is_text(batch):
        return size_of(batch)
    length: int = batch["input_ids"].shape[1]
    return max(1, _MOST_LOGITS // (length * _USUAL_VOCABULARY))


def size_of(batch: object) -> int:
    """Return the number of rows of a batch, the length of its first tensor; 0 without any."""
    return next((len(value) for value in tensors_in(batch) if value.dim()), 0)


def first_rows(batch: object, most: int) -> Batch:
    """Cut every tensor of a batch that has a row for each sample to the first rows."""
    size = size_of(batch)
    return _mapped(batch, lambda value: value[:most] if value.dim() and len(value) == size else value)


def _mapped(batch: object, change: Callable[[Tensor], Tensor]) -> Batch:
    if isinstance(batch, Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: _mapped(value, change) for name, value in batch.items() if name not in _OF_WHOLE_BATCH}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_mapped(value, change) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_mapped(value, change) for value in batch)
    return batch


def counted_rows(signals: Signals, name: str) -> Tensor:
    """Return the rows of a signal (…, C) or (…) at the positions that count, shape (N, C) or (N,)."""
    values = signals[name]
    mask = signals.get("mask")
    if mask is not None:
        return values[mask]
    positions = signals["student_logits"].dim() - 1
    return values.flatten(0, positions - 1) if positions > 1 else values


def without_gradient(values: Tensor) -> Tensor:
    """Return values in float32 on the CPU, detached."""
    return values.detach().to("cpu", torch.float32)
