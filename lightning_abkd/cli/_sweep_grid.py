"""The grid of a sweep: which options take which values."""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from lightning_abkd._utils import digest

SEED = "seed_everything"
_LONGEST_NAME = 40


class Dimension(NamedTuple):
    """One option of a sweep with its values, and the name by which tables and folders call it."""

    option: str
    name: str
    values: tuple[str, ...]


class Point(NamedTuple):
    """What makes one training differ from the others: the value of every swept option, and the seed."""

    values: tuple[str, ...]
    seed: int


class Grid(NamedTuple):
    """All points of a sweep."""

    dimensions: tuple[Dimension, ...]
    seeds: tuple[int, ...]

    @property
    def is_plane(self) -> bool:
        """True if α and β are swept and nothing else."""
        return [dimension.name for dimension in self.dimensions] == ["α", "β"]

    @property
    def names(self) -> list[str]:
        """The name of every dimension."""
        return [dimension.name for dimension in self.dimensions]

    def points(self) -> list[Point]:
        """Return every point, the seeds of one beside each other."""
        every = itertools.product(*(dimension.values for dimension in self.dimensions))
        return [Point(values, seed) for values in every for seed in self.seeds]

    def options(self, point: Point) -> list[str]:
        """Return the options that set a point; a class comes before its arguments."""
        pairs = zip((dimension.option for dimension in self.dimensions), point.values, strict=True)
        ordered = sorted(pairs, key=lambda pair: pair[0].count("."))
        return [*(f"--{option}={value}" for option, value in ordered), f"--{SEED}={point.seed}"]

    def label(self, point: Point) -> str:
        """Describe a point, such as "α = 0.5, β = 0, seed 1"."""
        return ", ".join([*self.described(point.values), f"seed {point.seed}"])

    def described(self, values: Sequence[str]) -> list[str]:
        """Describe the values of a point one by one."""
        return [f"{name} = {shown(value)}" for name, value in zip(self.names, values, strict=True)]

    def folder(self, point: Point) -> str:
        """Return the folder of a point, such as "alpha_0.5_beta_0/seed_1"."""
        names = {"α": "alpha", "β": "beta"}
        pairs = zip(self.names, point.values, strict=True)
        place = "_".join(f"{_file_name(names.get(name, name))}_{_file_name(value)}" for name, value in pairs)
        return f"{place or 'seeds'}/seed_{point.seed}"

    def samples(self) -> Iterator[Point]:
        """Yield a few points in which every value occurs that may be wrong; α and β are known to be numbers."""
        first = [dimension.values[0] for dimension in self.dimensions]
        yield Point(tuple(first), self.seeds[0])
        for place, dimension in enumerate(self.dimensions):
            for value in () if dimension.name in ("α", "β") else dimension.values[1:]:
                yield Point((*first[:place], value, *first[place + 1 :]), self.seeds[0])


def shown(value: str) -> str:
    """Return a value as tables show it: a number without idle zeros, text as it was given."""
    try:
        number = float(value)
    except ValueError:
        return value
    short = f"{number:g}"
    return short if float(short) == number else value


def _file_name(value: str) -> str:
    """Return a value as part of a file's name; what had to be changed is told apart by a digest."""
    number = shown(value)
    name = re.sub(r"[^\w.+-]+", "_", number)
    if re.fullmatch(r"[\w.]+\.[A-Za-z_]\w*", name):
        name = name.rpartition(".")[2]
    name = name[:_LONGEST_NAME]
    return name if name == number else f"{name}_{digest(value.encode())[:6]}"
