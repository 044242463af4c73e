"""Rows of logits of which each process holds some classes, and what the processes tell each other of a row."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from lightning_abkd._utils import row_slices

# Elements that are computed at once: few enough for the cache of a CPU, enough to hide the launch of a GPU's kernels.
_CHUNK_ELEMENTS = {"cpu": 1 << 19}
_DEFAULT_CHUNK_ELEMENTS = 1 << 24


def all_reduce(
    numbers: Tensor, groups: Sequence[ProcessGroup], operation: dist.ReduceOp.RedOpType = dist.ReduceOp.SUM
) -> Tensor:
    """Replace numbers by their sums over the processes, or the result of another operation, and return them."""
    for group in groups:
        dist.all_reduce(numbers, operation, group)
    return numbers


class ShardRows:
    """Rows of one network, of whose logits this process holds some classes.

    Args:
        logits: Shape (N, v), v classes of this process, of which there may be none.
        temperature: T > 0, 0-dimensional.
        index: The rows that count, shape (n,); None counts all.
        dtype: Dtype that the rows are computed in.

    Attributes:
        count: n, the number of rows that count.
        largest: Largest of all logits of a row, shape (n, 1); see `normalize`.
        log_total: Log of the sum of the exponentials relative to it, shape (n, 1).
    """

    largest: Tensor
    log_total: Tensor

    def __init__(self, logits: Tensor, temperature: Tensor, index: Tensor | None, dtype: torch.dtype) -> None:
        self.logits = logits
        self.count = len(logits) if index is None else len(index)
        self.dtype = dtype
        self._temperature = temperature
        self._index = index

    def chunks(self) -> Iterator[slice]:
        """Split the rows that count."""
        elements = _CHUNK_ELEMENTS.get(self.logits.device.type, _DEFAULT_CHUNK_ELEMENTS)
        return row_slices(self.count, self.logits.shape[-1], elements)

    def places(self, rows: slice) -> slice | Tensor:
        """Return where some of the rows that count lie among all rows."""
        return rows if self._index is None else self._index[rows]

    def log_probabilities(self, rows: slice) -> Tensor:
        """Compute log-probabilities of this process's classes, once the rows are normalised."""
        return (self._scaled(rows) - self.largest[rows]).sub_(self.log_total[rows])

    def partial_sums(self) -> "PartialSums":
        """Compute the largest logit of this process's classes, and the sum of the exponentials relative to it."""
        largest = self.logits.new_full((self.count,), -torch.inf, dtype=self.dtype)
        totals = torch.zeros_like(largest)
        if self.logits.shape[-1]:
            for rows in self.chunks():
                scaled = self._scaled(rows)
                largest[rows] = scaled.amax(-1)
                # Classes that are all at -inf add 0, and -inf - (-inf) would be NaN.
                shift = largest[rows].masked_fill(largest[rows] == -torch.inf, 0.0)
                totals[rows] = scaled.sub_(shift.unsqueeze(-1)).exp_().sum(-1)
        return PartialSums(largest, totals)

    def _scaled(self, rows: slice) -> Tensor:
        return self.logits[self.places(rows)].to(self.dtype) / self._temperature


class PartialSums(NamedTuple):
    """What a process knows of its classes of each row, each of shape (n,); see `ShardRows.partial_sums`."""

    largest: Tensor
    totals: Tensor


def normalize(sides: Sequence[ShardRows], groups: Sequence[ProcessGroup], picked: Tensor | None = None) -> Tensor:
    """Find the normalisers of the rows of one network or of several, in two all-reduces.

    Args:
        sides: The rows of each network.
        groups: The processes over which the classes are split.
        picked: Other numbers of each row to add up over the processes, shape (n,).

    Returns:
        The sums of `picked` over the processes, shape (1, n), or (0, n) without.
    """
    partial = [side.partial_sums() for side in sides]
    own = torch.stack([part.largest for part in partial])
    largest = all_reduce(own.clone(), groups, dist.ReduceOp.MAX)
    sums = torch.stack([part.totals for part in partial]) * torch.exp(own - largest)
    sums = all_reduce(sums if picked is None else torch.cat([sums, picked.unsqueeze(0)]), groups)
    for number, side in enumerate(sides):
        side.largest = largest[number].unsqueeze(-1)
        side.log_total = sums[number].log().unsqueeze(-1)
    return sums[len(sides) :]
