"""What the seeds of a point measured: their median and range, and which point is the best."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

P = TypeVar("P")


class Summary(NamedTuple):
    """Median, lowest and highest value of the seeds that did not diverge, and the numbers of seeds and divergences."""

    median: float
    lowest: float
    highest: float
    seeds: int
    diverged: int


def summarize_seeds(values: Sequence[float]) -> Summary:
    """Compute median, lowest and highest value over the seeds that have a value.

    Args:
        values: One value per seed, NaN where the training diverged.

    Returns:
        Median, lowest and highest value, NaN where all diverged; number of seeds, and of those that diverged.

    Example:
        >>> summarize_seeds([1.0, 3.0, 4.0, float("nan")])
        Summary(median=3.0, lowest=1.0, highest=4.0, seeds=4, diverged=1)
    """
    known = [value for value in values if not math.isnan(value)] or [math.nan]
    diverged = sum(map(math.isnan, values))
    return Summary(statistics.median(known), min(known), max(known), len(values), diverged)


def ranked(values: Mapping[P, Sequence[float]], mode: str) -> list[P]:
    """Return the points from the best median to the worst; behind them those with seeds that diverged.

    Points of which all seeds diverged are left out.
    """
    sign = -1.0 if mode == "max" else 1.0
    summaries = {point: summarize_seeds(seeds) for point, seeds in values.items()}
    known = [point for point in values if not math.isnan(summaries[point].median)]
    return sorted(known, key=lambda point: (summaries[point].diverged > 0, sign * summaries[point].median))
