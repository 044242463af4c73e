"""What the teacher answers to validation data, and the labels."""

import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from itertools import islice

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor

from lightning_abkd.diagnostics.doctor._patient import (
    Patient,
    counted_rows,
    first_rows,
    is_text,
    rows_that_fit,
    without_gradient,
)
from lightning_abkd.training import IGNORED, Batch, Signals, target_of

_MOST_POSITIONS = 2000
_MOST_BATCHES = 64
_SECONDS = 8.0


@dataclass(frozen=True)
class Answers:
    """The teacher's answers to N counted positions.

    Args:
        predicted: The most probable class of each, shape (N,).
        labels: The right class of each, shape (N,).
        entropy: Mean entropy in nats.
        cross_entropy: Mean cross-entropy on the labels in nats.
        classes: Number of classes.
        batches: The batches that were asked, on the device.
        seconds: How long the teacher took for a sample.
        source: What was asked, "validation" or "training".
    """

    predicted: Tensor
    labels: Tensor
    entropy: float
    cross_entropy: float
    classes: int
    batches: list[Batch]
    seconds: float
    source: str

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return (self.predicted == self.labels).double().mean().item()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class _Sums:
    predicted: list[Tensor]
    labels: list[Tensor]
    entropy: float = 0.0
    cross_entropy: float = 0.0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        log_p = torch.log_softmax(logits, -1)
        p = log_p.exp()
        self.entropy += -torch.where(p > 0, p * log_p, 0.0).sum().item()
        self.cross_entropy += -log_p.gather(-1, labels.unsqueeze(-1)).sum().item()
        self.predicted.append(logits.argmax(-1))
        self.labels.append(labels)


def answers(patient: Patient) -> Answers | None:
    """Ask the teacher about the first validation data, or about the training batch where there are none.

    Returns:
        Its answers; None without a live teacher, or without labels that are classes.
    """
    if patient.teacher is None:
        return None
    asked: list[Batch] = []
    sums = _Sums([], [])
    classes = 0
    start = time.monotonic()
    source = "validation"
    batches = _validation_batches(patient)
    if batches is None:
        source = "training"
        batches = iter([patient.batch])
    for batch in batches:
        few = first_rows(batch, rows_that_fit(batch)) if is_text(batch) else batch
        pair = labelled(patient.signals_of(few))
        if pair is None:
            return None
        sums.add(*pair)
        classes = pair[0].shape[-1]
        asked.append(few)
        if sum(map(len, sums.labels)) >= _MOST_POSITIONS or time.monotonic() - start > _SECONDS:
            break
    return _gathered(sums, classes, asked, time.monotonic() - start, source)


def _gathered(sums: _Sums, classes: int, asked: list[Batch], seconds: float, source: str) -> Answers | None:
    labels = torch.cat(sums.labels) if sums.labels else torch.zeros(0)
    count = len(labels)
    if not count:
        return None
    means = (sums.entropy / count, sums.cross_entropy / count)
    return Answers(torch.cat(sums.predicted), labels, *means, classes, asked, seconds / count, source)


def labelled(signals: Signals) -> tuple[Tensor, Tensor] | None:
    """Return the teacher's logits (N, C) in float32 and the classes (N,) of the labelled positions, on the CPU.

    Returns:
        None where there are no such logits or labels, or the labels are no classes.
    """
    if "teacher_logits" not in signals or "labels" not in signals:
        return None
    target = target_of(signals)
    logits = without_gradient(counted_rows(signals, "teacher_logits"))
    labels = counted_rows({**signals, "target": target}, "target").cpu()
    kept = (labels != IGNORED) & logits.isfinite().any(-1)
    labels = labels[kept].long()
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[-1]:
        return None
    return logits[kept], labels


def _validation_batches(patient: Patient) -> Iterator[Batch] | None:
    """Yield batches of the first validation set on the device; None where there is none."""
    owner = patient.data if hasattr(patient.data, "val_dataloader") else patient.module
    try:
        loaders: object = owner.val_dataloader()
    except MisconfigurationException:
        # What Lightning's own `val_dataloader` raises.
        return None
    loader = next(iter(loaders), None) if isinstance(loaders, list | tuple) else loaders
    most = _most_batches(loader, patient.trainer.limit_val_batches)
    if not isinstance(loader, Iterable) or not most:
        return None
    return (patient.trainer.strategy.batch_to_device(batch) for batch in islice(loader, most))


def _most_batches(loader: object, limit: float | int | None) -> int:
    """Return how many batches of a validation set are asked, no more than a validation of the run would take."""
    if isinstance(limit, float) and isinstance(loader, Sized):
        limit = int(limit * len(loader))
    return min(_MOST_BATCHES, int(limit)) if isinstance(limit, int) else _MOST_BATCHES
