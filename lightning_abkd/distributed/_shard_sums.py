"""Values and gradients of rows whose classes lie on several processes, from sums over the classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from lightning_abkd.distributed._shard_rows import ShardRows, all_reduce, normalize

PartialDivergence = Callable[[Tensor, Tensor], Tensor]
"""Takes log-probabilities of teacher and student, shape (n, v), of some classes; returns the sum of their terms (n,).
Example: see `divergence_from_shards`."""


@dataclass(frozen=True)
class ShardTerms:
    """What is computed of rows whose classes lie on several processes.

    Args:
        partial: The divergence, as a sum over classes.
        temperature: T > 0, 0-dimensional.
        groups: The processes over which the classes are split.
        index: The rows that count, shape (n,); None counts all.
    """

    partial: PartialDivergence
    temperature: Tensor
    groups: Sequence[ProcessGroup]
    index: Tensor | None

    def rows(self, logits: Tensor, dtype: torch.dtype) -> ShardRows:
        """Return the rows of one network."""
        return ShardRows(logits, self.temperature, self.index, dtype)


class ShardSums:
    """Values of rows and gradients with respect to the logits of this process, in three all-reduces.

    The first finds the largest logits and the second the sums of exponentials, two numbers a row each. The third adds
    up the values and, for each network that needs a gradient, the derivatives with respect to log-probabilities.

    Args:
        student_logits: Shape (N, v).
        teacher_logits: Shape (N, v).
        terms: What is computed.
        needed: Whether the student's and the teacher's logits need a gradient.

    Attributes:
        values: Shape (N,), 0 for rows that do not count.
        gradients: Those of student and teacher, shape (N, v), or None.
    """

    def __init__(
        self, student_logits: Tensor, teacher_logits: Tensor, terms: ShardTerms, needed: tuple[bool, bool]
    ) -> None:
        dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
        self._terms = terms
        self._sides = (terms.rows(student_logits, dtype), terms.rows(teacher_logits, dtype))
        self.values = student_logits.new_zeros(len(student_logits), dtype=dtype)
        self.gradients = [
            torch.zeros_like(side.logits, dtype=dtype) if wanted else None
            for side, wanted in zip(self._sides, needed, strict=True)
        ]
        if self._sides[0].count:
            self._compute()

    def _compute(self) -> None:
        normalize(self._sides, self._terms.groups)
        student = self._sides[0]
        wanted = [number for number, gradient in enumerate(self.gradients) if gradient is not None]
        sums = self.values.new_empty(1 + len(wanted), student.count)
        for rows in student.chunks():
            sums[:, rows] = self._add_slopes(rows, wanted)
        all_reduce(sums, self._terms.groups)
        self.values[student.places(slice(None))] = sums[0]
        for number, totals in zip(wanted, sums[1:], strict=True):
            self._finish(number, totals)

    def _add_slopes(self, rows: slice, wanted: Sequence[int]) -> Tensor:
        """Write the derivatives with respect to log-probabilities; return the sums over this process's classes."""
        logs = [side.log_probabilities(rows) for side in self._sides]
        leaves = [logs[number].requires_grad_() for number in wanted]
        with torch.set_grad_enabled(bool(wanted)):
            values = self._terms.partial(logs[1], logs[0])
        slopes = torch.autograd.grad(values, leaves, torch.ones_like(values)) if leaves else ()
        for number, slope in zip(wanted, slopes, strict=True):
            gradient = self.gradients[number]
            if gradient is not None:
                gradient[self._sides[number].places(rows)] = slope
        return torch.stack([values.detach(), *(slope.sum(-1) for slope in slopes)])

    def _finish(self, number: int, totals: Tensor) -> None:
        """Turn derivatives with respect to log-probabilities into those with respect to logits."""
        gradient = self.gradients[number]
        side = self._sides[number]
        if gradient is None:
            return
        for rows in side.chunks():
            share = side.log_probabilities(rows).exp_().mul_(totals[rows].unsqueeze(-1))
            places = side.places(rows)
            gradient[places] = gradient[places].sub_(share).div_(self._terms.temperature)


def stored(gradient: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return a gradient as it is kept for logits of a dtype; before it is scaled it may underflow in float16."""
    return gradient if gradient is None or dtype == torch.float16 else gradient.to(dtype)
