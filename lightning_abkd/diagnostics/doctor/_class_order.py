"""Whether the teacher's classes have another order than the labels."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

# Fewer samples, in all, for each class on average, and of a class, say nothing: samples of a class may look alike.
_FEWEST = 60
_FEWEST_FOR_EACH = 6
_FEWEST_OF_CLASS = 3
_LEAST_RISE = 0.05
_LEAST_DEVIATIONS = 3.0


class ClassOrder(NamedTuple):
    """Which class the labels mean by which of the teacher's, and how often it is right then."""

    moved: dict[int, int]
    accuracy: float
    accuracy_as_given: float


def other_order(predicted: Tensor, labels: Tensor, classes: int) -> ClassOrder | None:
    """Find a renumbering of the teacher's classes with which it is right far more often; None if there is none.

    The renumbering is read from one half of the samples and measured on the other, so that a teacher who only guesses
    gains nothing by it.

    Args:
        predicted: The teacher's classes, shape (N,).
        labels: The right ones, shape (N,).
        classes: Number of classes.

    Example:
        >>> labels = torch.arange(4).repeat(20)
        >>> other_order((labels + 1) % 4, labels, 4).moved
        {0: 3, 1: 0, 2: 1, 3: 2}
    """
    if len(labels) < max(_FEWEST, _FEWEST_FOR_EACH * classes):
        return None
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    halves = (order[::2], order[1::2])
    right = 0
    for fitted, measured in (halves, halves[::-1]):
        renumbered = _renumbering(predicted[fitted], labels[fitted], classes)
        right += int((renumbered[predicted[measured]] == labels[measured]).sum())
    before = (predicted == labels).double().mean().item()
    after = right / len(labels)
    if not _is_rise(before, after, len(labels)):
        return None
    final = _renumbering(predicted, labels, classes)
    moved = {theirs: int(ours) for theirs, ours in enumerate(final) if theirs != int(ours)}
    # Many classes that become one are no other order.
    targets = list(moved.values())
    return ClassOrder(moved, after, before) if len(set(targets)) * 4 >= len(targets) * 3 else None


def _is_rise(before: float, after: float, count: int) -> bool:
    rise = after - before
    variance = (before * (1 - before) + after * (1 - after)) / count
    return rise >= _LEAST_RISE and rise > _LEAST_DEVIATIONS * math.sqrt(max(variance, 1e-12))


def _renumbering(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Return for each class of the teacher the label that most of its samples have; its own where they are few."""
    table = torch.zeros(classes, classes, dtype=torch.int64)
    table.index_put_((predicted, labels), torch.ones_like(labels), accumulate=True)
    known = table.sum(1) >= _FEWEST_OF_CLASS
    return torch.where(known, table.argmax(1), torch.arange(classes))
