"""Schedules of a number over training: pure functions of the step or epoch, built from plain numbers.

Here: what a value is at a step or epoch. Not here: callbacks that set it (see `lightning_abkd.callbacks`).
"""

import bisect
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightning_abkd._utils import check_at_least, check_finite, renamed_names


class Schedule(ABC):
    """A number as a function of the position in training.

    Example:
        >>> class Sawtooth(Schedule):
        ...     def __call__(self, position: int, total: int) -> float:
        ...         return position % 10 / 10
        >>> Sawtooth()(13, total=100)
        0.3
    """

    @property
    def needs_total(self) -> bool:
        """Whether values depend on `total`, which has to be known then."""
        return True

    @abstractmethod
    def __call__(self, position: int, total: int) -> float:
        """Compute the value.

        Args:
            position: Index of the step or epoch, from 0.
            total: Number of steps or epochs of the whole training.
        """


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value throughout.

    Args:
        value: The value.

    Raises:
        ValueError: If `value` is not finite.

    Example:
        >>> [Constant(0.5)(i, total=100) for i in (0, 99)]
        [0.5, 0.5]
    """

    needs_total = False
    value: float

    def __post_init__(self) -> None:
        check_finite("value", self.value)

    def __call__(self, position: int, total: int) -> float:
        """Return the value."""
        return self.value


@dataclass(frozen=True)
class _Ramp(Schedule):
    """From `start` at the first position to `end` at the last one of `length`, and `end` from there on."""

    start: float
    end: float
    length: int | None = None

    def __post_init__(self) -> None:
        check_finite("start", self.start)
        check_finite("end", self.end)
        if self.length is not None:
            check_at_least("length", self.length, 1, "None takes the whole training.")

    @property
    def needs_total(self) -> bool:
        """Whether there is no `length`."""
        return self.length is None

    def __call__(self, position: int, total: int) -> float:
        """Compute the value; both ends are met exactly."""
        last = (self.length or total) - 1
        if position >= last:
            return self.end
        return self._between(position / last) if position > 0 else self.start

    @abstractmethod
    def _between(self, progress: float) -> float:
        """Compute the value for a progress between 0 and 1."""


class Linear(_Ramp):
    r"""A straight line from start to end.

    .. math::

        v(i) = a + r \, (b - a), \qquad r = \min\Big(\frac{i}{n - 1}, 1\Big)

    where:

    - i -> `position`: index of the step or epoch, from 0.
    - a, b -> `start`, `end`: any numbers. Both are met exactly.
    - n -> `length`: number of positions from start to end.

    Args:
        start: Value at position 0.
        end: Value at position length - 1 and after.
        length: Number of positions from start to end, at least 1; None takes the whole training.

    Raises:
        ValueError: If a value is not finite or `length` is below 1.

    Example:
        >>> [Linear(0.0, 1.0, length=5)(i, total=100) for i in (0, 1, 4, 9)]
        [0.0, 0.25, 1.0, 1.0]
    """

    def _between(self, progress: float) -> float:
        return self.start + progress * (self.end - self.start)


class Cosine(_Ramp):
    r"""Half a cosine wave from start to end, flat at both ends; symbols, arguments and errors as for `Linear`.

    .. math::

        v(i) = a + \frac{1 - \cos(\pi r)}{2} \, (b - a)

    Example:
        >>> [round(Cosine(0.0, 1.0, length=5)(i, total=100), 4) for i in (0, 1, 2, 4)]
        [0.0, 0.1464, 0.5, 1.0]
    """

    def _between(self, progress: float) -> float:
        return self.start + 0.5 * (1.0 - math.cos(math.pi * progress)) * (self.end - self.start)


class Exponential(_Ramp):
    r"""A constant factor per position from start to end, both of the same sign; symbols and arguments as for `Linear`.

    .. math::

        v(i) = a \, (b / a)^r

    Raises:
        ValueError: If `start` and `end` are not both positive or both negative, or as for `Linear`.

    Example:
        >>> [round(Exponential(1.0, 16.0, length=5)(i, total=100), 4) for i in (0, 1, 2, 4)]
        [1.0, 2.0, 4.0, 16.0]
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start * self.end <= 0.0:
            found = f"Found `start = {self.start}`, `end = {self.end}`. Use Linear or Cosine to pass through 0."
            raise ValueError(f"Parameters `start` and `end` should be both positive or both negative. {found}")

    def _between(self, progress: float) -> float:
        # Both have the same sign, so the base is positive and the power is real.
        return self.start * math.pow(self.end / self.start, progress)


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Constant values that change at milestones.

    Args:
        values: One value more than there are milestones.
        milestones: Ascending positions; the next value holds from each of them on.

    Raises:
        ValueError: If the numbers of values and milestones do not fit, a value is not finite, or milestones do not
            ascend from above 0.

    Example:
        >>> [Piecewise([1.0, 0.5, 0.0], milestones=[10, 20])(i, total=100) for i in (0, 9, 10, 25)]
        [1.0, 1.0, 0.5, 0.0]
    """

    needs_total = False
    values: list[float]
    milestones: list[int]

    def __post_init__(self) -> None:
        for index, value in enumerate(self.values):
            check_finite(f"values[{index}]", value)
        if len(self.values) != len(self.milestones) + 1:
            found = f"Found {len(self.values)} values and {len(self.milestones)} milestones."
            raise ValueError(f"Parameter `values` should hold one value more than `milestones`. {found}")
        if self.milestones != sorted(set(self.milestones)) or min(self.milestones, default=1) < 1:
            found = f"Found `milestones = {self.milestones}`."
            raise ValueError(f"Parameter `milestones` should ascend from above 0. {found}")

    def __call__(self, position: int, total: int) -> float:
        """Return the value of the piece that holds the position."""
        return self.values[bisect.bisect_right(self.milestones, position)]


@dataclass(frozen=True)
class SequentialSchedule(Schedule):
    """Schedules one after the other, each from its own position 0.

    Args:
        schedules: At least one.
        lengths: Number of positions of each schedule but the last, which takes the rest of the training. A schedule
            without a length of its own fills its part.

    Raises:
        ValueError: If `lengths` are not one fewer than `schedules`, or one of them is below 1.

    Example:
        >>> warm_up = SequentialSchedule([Linear(0.0, 1.0), Constant(1.0)], lengths=[5])
        >>> [warm_up(i, total=100) for i in (0, 2, 4, 50)]
        [0.0, 0.5, 1.0, 1.0]
    """

    schedules: list[Schedule]
    lengths: list[int]

    def __post_init__(self) -> None:
        if len(self.schedules) != len(self.lengths) + 1:
            found = f"Found {len(self.lengths)} lengths and {len(self.schedules)} schedules."
            raise ValueError(f"Parameter `lengths` should hold one number fewer than `schedules`. {found}")
        for index, length in enumerate(self.lengths):
            check_at_least(f"lengths[{index}]", length, 1)

    @property
    def needs_total(self) -> bool:
        """Whether the last schedule does; the others are given their own lengths."""
        return self.schedules[-1].needs_total

    def __call__(self, position: int, total: int) -> float:
        """Compute the value of the schedule whose part holds the position."""
        start = 0
        for schedule, length in zip(self.schedules, self.lengths, strict=False):
            if position < start + length:
                return schedule(position - start, length)
            start += length
        return self.schedules[-1](position - start, max(total - start, 1))


if not TYPE_CHECKING:
    __getattr__ = renamed_names(__name__, {"Sequence": "SequentialSchedule"})
