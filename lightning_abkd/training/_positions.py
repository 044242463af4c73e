"""What the learning-rate schedule of a fit counts, for schedules that are built meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from lightning_abkd._utils import check_at_least

Interval = Literal["step", "epoch"]


@dataclass
class Positions:
    """What a schedule counts.

    Args:
        interval: Whether it moves after each "step" or "epoch"; None lets the schedule choose.
        length: Computes the number of them in the whole training.
    """

    interval: Interval | None
    length: Callable[[Interval], int]

    def take_steps(self) -> Interval:
        """Count steps from now on, unless something else was chosen; return what is counted."""
        self.interval = self.interval or "step"
        return self.interval


_POSITIONS: ContextVar[Positions | None] = ContextVar("positions", default=None)


@contextmanager
def counted_by(positions: Positions) -> Iterator[None]:
    """Let schedules that are built meanwhile count these positions."""
    token = _POSITIONS.set(positions)
    try:
        yield
    finally:
        _POSITIONS.reset(token)


@contextmanager
def part_of_training(start: int, end: int | None) -> Iterator[None]:
    """Let schedules that are built meanwhile count the positions from `start` to `end`, or to the end of training."""
    whole = _POSITIONS.get()
    if whole is None:
        yield
        return

    def length(interval: Interval) -> int:
        return max(1, (whole.length(interval) if end is None else end) - start)

    part = Positions(whole.interval, length)
    with counted_by(part):
        yield
    whole.interval = part.interval


def total_of(steps: int | None) -> int:
    """Return the number of steps that was given, or else the length of the training.

    Raises:
        ValueError: If neither is known.
    """
    if steps is not None:
        check_at_least("total_steps", steps, 1)
        _take_steps()
        return steps
    positions = _POSITIONS.get()
    if positions is None:
        raise ValueError(
            "Parameter `total_steps` should be given where no module builds the schedule. Found `total_steps = None`."
        )
    return positions.length(positions.take_steps())


def warmup_of(steps: float, total: int | None) -> int:
    """Return the number of steps of a warm-up, of which a number below 1 is a share of the total.

    Raises:
        ValueError: If it is negative or a fraction above 1.
    """
    check_at_least("warmup_steps", steps, 0, "A number below 1 is a share of all steps.")
    if 0 < steps < 1:
        return round(steps * total_of(total))
    if steps != int(steps):
        raise ValueError(
            f"Parameter `warmup_steps` should be whole or a share below 1. Found `warmup_steps = {steps}`."
        )
    _take_steps()
    return int(steps)


def _take_steps() -> None:
    """Let the schedule that is built count steps, because it was given a number of them."""
    positions = _POSITIONS.get()
    if positions is not None:
        positions.take_steps()
