"""What schedules set at the first and at the last step, and how long a training is."""

import math
from collections.abc import Iterator
from typing import NamedTuple

from lightning.pytorch import Trainer

from lightning_abkd.training import HyperparameterScheduler, callbacks_of


class Course(NamedTuple):
    """Numbers that schedules set at the first and at the last step, by path; the batches, and the length in words."""

    first: dict[str, float]
    last: dict[str, float]
    batches: float
    length: str


def course_of(trainer: Trainer) -> Course:
    """Read the course of a training from its trainer, in a fit."""
    first: dict[str, float] = {}
    last: dict[str, float] = {}
    for scheduler in _schedulers(trainer):
        ends = scheduler.first_and_last(trainer)
        first |= {path: pair[0] for path, pair in ends.items()}
        last |= {path: pair[1] for path, pair in ends.items()}
    return Course(first, last, _batches(trainer), _length(trainer))


def _schedulers(trainer: Trainer) -> Iterator[HyperparameterScheduler]:
    return (callback for callback in callbacks_of(trainer) if isinstance(callback, HyperparameterScheduler))


def _batches(trainer: Trainer) -> float:
    """Return how many batches a training takes, infinite if unknown."""
    each = trainer.num_training_batches
    epochs = math.inf if trainer.max_epochs is None or trainer.max_epochs < 0 else trainer.max_epochs
    steps = math.inf if trainer.max_steps < 0 else trainer.max_steps * trainer.accumulate_grad_batches
    return min(each * epochs, steps)


def _length(trainer: Trainer) -> str:
    if trainer.max_steps >= 0:
        return f"{trainer.max_steps:,} steps take"
    return "1 epoch takes" if trainer.max_epochs == 1 else f"{trainer.max_epochs:,} epochs take"
