"""The learning rate of an optimizer and of the schedule that moves it."""

from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

# What schedules of torch keep in a group beside its rate, each a rate.
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")


def learning_rate(optimizer: Optimizer) -> float:
    """Return the rate of the first group that a schedule starts from or, for one cycle, goes up to."""
    group = optimizer.param_groups[0]
    return float(group.get("max_lr", group.get("initial_lr", group["lr"])))


def set_learning_rate(optimizer: Optimizer, schedulers: Sequence[LRScheduler], rate: float) -> None:
    """Set the rate of the first group; other groups and what schedules remember keep their proportions to it."""
    before = learning_rate(optimizer)
    for group in optimizer.param_groups:
        for name in _RATES:
            if name in group:
                group[name] = _scaled(group[name], before, rate)
    for scheduler in schedulers:
        _scale(scheduler, before, rate)


def _scale(scheduler: LRScheduler, before: float, rate: float) -> None:
    base: list[float] = getattr(scheduler, "base_lrs", [])
    base[:] = [_scaled(value, before, rate) for value in base]
    for inner in getattr(scheduler, "_schedulers", []):
        _scale(inner, before, rate)


def _scaled(value: float, before: float, rate: float) -> float:
    """Return a value that keeps its proportion to the rate, which itself is not rounded."""
    return rate if value == before or not before else value * (rate / before)
