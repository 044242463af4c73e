"""Predictions of one prediction loader, and the rows of a table that they become."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.utils.data import Subset

from lightning_abkd.vision.data._samples import Samples, file_of


class Row(NamedTuple):
    """One sample: its place, where it comes from, and the likeliest class of each network with its probability."""

    loader: int
    position: int
    sample: int
    file: str
    answers: tuple[tuple[str, float], ...]


@dataclass
class Predicted:
    """What the networks answered to the samples of a loader.

    Args:
        loader: Number of the loader.
        dataset: Its data set, asked for the names of files and classes where it has them.
    """

    loader: int
    dataset: object
    _positions: list[int] = field(default_factory=list)
    _answers: list[list[tuple[int, float]]] = field(default_factory=list)
    _classes: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self._positions)

    def add(self, positions: Sequence[int], logits: Sequence[Tensor]) -> None:
        """Keep the likeliest class of each sample.

        Args:
            positions: Places of the samples in the data set.
            logits: Logits (B, C) of each network.
        """
        self._positions += positions
        self._classes = [each.shape[-1] for each in logits]
        answers = []
        for each in logits:
            likeliest = each.to(torch.float32).softmax(-1).max(-1)
            answers.append(list(zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)))
        self._answers += [list(row) for row in zip(*answers, strict=True)]

    def rows(self) -> list[Row]:
        """Return one row for each sample."""
        names = [self._class_names(classes) for classes in self._classes]
        return [
            self._row(
                position,
                tuple((of[label], probability) for of, (label, probability) in zip(names, answers, strict=True)),
            )
            for position, answers in zip(self._positions, self._answers, strict=True)
        ]

    def _class_names(self, classes: int) -> Sequence[str]:
        """Return the names that the data set gives its classes; the numbers for a network of other classes."""
        names = getattr(_origin(self.dataset, None).dataset, "classes", None)
        if isinstance(names, Sequence) and len(names) == classes:
            return [str(name) for name in names]
        return [str(label) for label in range(classes)]

    def _row(self, position: int, answers: tuple[tuple[str, float], ...]) -> Row:
        origin = _origin(self.dataset, position)
        stored = position if origin.position is None else origin.position
        return Row(self.loader, position, stored, file_of(origin.dataset, stored) or "", answers)


class _Origin(NamedTuple):
    dataset: object
    position: int | None


def _origin(dataset: object, position: int | None) -> _Origin:
    """Return the data set that a chain of choices is made from, and the position in it."""
    if isinstance(dataset, Subset):
        return _origin(dataset.dataset, None if position is None else int(dataset.indices[position]))
    if isinstance(dataset, Samples):
        return _origin(dataset.stored, None if position is None else int(dataset.indices[position]))
    return _Origin(dataset, position)
