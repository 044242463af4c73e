"""How the lines of a picture differ: in colour, in dashes and in markers, so that they are told apart in grey too."""

import itertools
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

# Okabe & Ito 2008: distinguishable with colour blindness too.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D", "v", "X", "P", "<", ">", "*", "p")
# A line carries about this many markers, each line's at places of its own.
_MARKED = 6
# Lines are one on paper if they are nowhere further apart than this share of what the panel shows.
_WIDTH_OF_A_LINE = 0.008


class Look(NamedTuple):
    """Colour, dashes and marker of a line."""

    colour: str
    dashes: str
    marker: str
    number: int

    def places(self, count: int) -> list[int]:
        """Return which of a line's points carry a marker."""
        step = max(1, count // _MARKED)
        return list(range(self.number % step, count, step))


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return a look for every line by its name; the first 308 differ."""
    cycles = zip(itertools.cycle(_COLOURS), itertools.cycle(_DASHES), itertools.cycle(_MARKERS), strict=False)
    return {name: Look(*look, number) for number, (name, look) in enumerate(zip(names, cycles, strict=False))}


def medians(runs: Sequence[Sequence[float]]) -> list[float]:
    """Return the median over runs at every place that all of them have."""
    return [statistics.median(values) for values in zip(*runs, strict=False)]


def hidden(lines: Mapping[str, Sequence[float]]) -> list[tuple[str, ...]]:
    """Return groups of lines that lie upon each other, so that only the last one of a group is seen.

    Example:
        >>> hidden({"a": [1.0, 2.0], "b": [1.0, 2.0], "c": [1.0, 3.0]})
        [('a', 'b')]
    """
    every = [value for line in lines.values() for value in line]
    near = _WIDTH_OF_A_LINE * (max(every) - min(every)) if every else 0.0
    groups: list[list[str]] = []
    for name, line in lines.items():
        group = next((group for group in groups if _coincide(lines[group[0]], line, near)), None)
        if group is None:
            groups.append([name])
        else:
            group.append(name)
    return [tuple(group) for group in groups if len(group) > 1]


def _coincide(line: Sequence[float], other: Sequence[float], near: float) -> bool:
    pairs = zip(line, other, strict=False)
    return len(line) == len(other) and all(abs(one - two) <= near for one, two in pairs)
