"""Values and gradients of rows of logits, computed chunk by chunk in one pass."""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, row_slices
from lightning_abkd.functional import can_read_without_sync
from lightning_abkd.losses._base import Reduction

Differentiator = Callable[[Tensor, Tensor, Tensor], Tensor]

# Elements of a chunk: small enough for the CPU cache, large enough to hide the launch of each call.
_CHUNK_ELEMENTS = {"cpu": 1 << 19}
_DEFAULT_CHUNK_ELEMENTS = 1 << 24


class Rowwise(Protocol):
    """What a divergence offers so that it can be computed in chunks; see `Divergence`."""

    temperature: Tensor
    scale_by_temperature: bool
    reduction: Reduction

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Return the function that computes values (n,) and writes the scaled gradient (n, V)."""

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor: ...


def chunks(rows: int, classes: int, device: str) -> Iterator[slice]:
    """Split rows into slices that fit the device's cache and that threads share evenly."""
    return row_slices(rows, classes, _chunk_elements(device), multiple=torch.get_num_threads())


def counted_rows(mask: Tensor | None) -> Tensor | None:
    """Return the positions at which a mask is True, shape (n,); None without a mask, when all positions count."""
    return None if mask is None else mask.reshape(-1).nonzero().squeeze(-1)


class _ChunkedContext(Context):
    divergence: Rowwise
    index: Tensor | None
    weight: float | Tensor
    gradient: Tensor | None


class Chunked(torch.autograd.Function):
    """The reduced values of all rows, and their gradient in the same pass; a second backward pass recomputes it."""

    @staticmethod
    def forward(
        ctx: _ChunkedContext, student: Tensor, teacher: Tensor, mask: Tensor | None, divergence: Rowwise
    ) -> Tensor:
        ctx.save_for_backward(student, teacher)
        ctx.divergence = divergence
        ctx.index = counted_rows(mask)
        ctx.weight = _weight(divergence, student, mask)
        if ctx.needs_input_grad[0]:
            computed = _batch_gradient(divergence, student, teacher, ctx.index, ctx.weight)
            values = computed.values
            ctx.gradient = computed.gradient
        else:
            values = _batch_values(divergence, student, teacher, ctx.index)
        return (values if divergence.reduction == "none" else values.sum()) * ctx.weight

    @staticmethod
    @once_differentiable
    def backward(ctx: _ChunkedContext, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        student, teacher = ctx.saved_tensors
        gradient = ctx.gradient
        ctx.gradient = None
        if gradient is None:
            gradient = _batch_gradient(ctx.divergence, student, teacher, ctx.index, ctx.weight).gradient
        # An upstream gradient of 1 needs no pass over the gradient.
        if upstream.dim() or not can_read_without_sync(upstream) or upstream.item() != 1.0:
            # A 0-dimensional factor would be rounded to the gradient's dtype first.
            gradient.mul_(upstream.unsqueeze(-1) if upstream.dim() else upstream.view((1,) * gradient.dim()))
        return gradient.to(student.dtype), None, None, None


def _chunk_elements(device: str) -> int:
    return _CHUNK_ELEMENTS.get(device, _DEFAULT_CHUNK_ELEMENTS)


def _weight(divergence: Rowwise, student: Tensor, mask: Tensor | None) -> float | Tensor:
    """Compute the factor of every value: T² if it scales by that, divided by the count for a mean; a float on a CPU."""
    weight: float | Tensor = 1.0
    if divergence.scale_by_temperature:
        temperature = divergence.temperature
        weight = temperature.item() ** 2 if can_read_without_sync(temperature) else temperature.square()
    if divergence.reduction == "mean" and student.numel():
        weight = weight / _count(student, mask)
    return weight


def _count(student: Tensor, mask: Tensor | None) -> float | Tensor:
    """Count the positions that the mask counts, at least 1; a plain number if that needs no synchronisation."""
    if mask is None:
        return math.prod(student.shape[:-1])
    count = mask.sum().clamp(min=1)
    return count.item() if can_read_without_sync(count) else count


class _ValuesAndGradient(NamedTuple):
    values: Tensor
    gradient: Tensor


def _batch_values(divergence: Rowwise, student: Tensor, teacher: Tensor, index: Tensor | None) -> Tensor:
    """Compute the values (...) of the rows in `index`, and 0 for the others."""
    with _without_autocast(student.device.type):
        if _is_one_chunk(student, teacher, index):
            return divergence._values(student, teacher)
        return _values_in_chunks(divergence, student, teacher, index)


def _batch_gradient(
    divergence: Rowwise, student: Tensor, teacher: Tensor, index: Tensor | None, scale: float | Tensor
) -> _ValuesAndGradient:
    """Compute the values (...) of the rows in `index` and their scaled gradient (..., V), and 0 for the others."""
    with _without_autocast(student.device.type):
        if _is_one_chunk(student, teacher, index):
            gradient = torch.empty_like(student)
            return _ValuesAndGradient(divergence.differentiator(scale)(student, teacher, gradient), gradient)
        return _gradients_in_chunks(divergence, student, teacher, index, scale)


def _without_autocast(device: str) -> AbstractContextManager[object]:
    # Entering a context that changes nothing takes a tenth of the time of a small batch's loss.
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def _is_one_chunk(student: Tensor, teacher: Tensor, index: Tensor | None) -> bool:
    """Return True if the batch is one chunk that needs no copy; the number of calls then dominates its time."""
    ready = index is None and student.dim() == 2 and student.dtype == teacher.dtype == torch.float32
    return ready and student.numel() <= _chunk_elements(student.device.type)


@dataclass(frozen=True)
class _Dtypes:
    """Dtypes in which logits are computed, at least float32, and in which the gradient is stored."""

    student: torch.dtype
    teacher: torch.dtype
    gradient: torch.dtype

    @classmethod
    def of(cls, student: Tensor, teacher: Tensor) -> "_Dtypes":
        computed = torch.promote_types(student.dtype, torch.float32)
        # Before it is scaled by the loss's own factor, the gradient of a row may underflow in float16.
        stored = computed if student.dtype == torch.float16 else student.dtype
        return cls(computed, torch.promote_types(teacher.dtype, torch.float32), stored)


class _Chunk(NamedTuple):
    rows: slice | Tensor
    student: Tensor
    teacher: Tensor


def _chunks_of(student: Tensor, teacher: Tensor, index: Tensor | None, dtypes: _Dtypes) -> Iterator[_Chunk]:
    """Yield chunks of the rows in `index` of logits (N, V); other rows are never read."""
    count = len(student) if index is None else len(index)
    for chunk in chunks(count, student.shape[-1], student.device.type):
        rows = chunk if index is None else index[chunk]
        yield _Chunk(rows, student[rows].to(dtypes.student), teacher[rows].to(dtypes.teacher))


def _values_in_chunks(divergence: Rowwise, student: Tensor, teacher: Tensor, index: Tensor | None) -> Tensor:
    classes = student.shape[-1]
    dtypes = _Dtypes.of(student, teacher)
    parts = [
        divergence._values(chunk.student, chunk.teacher)
        for chunk in _chunks_of(student.reshape(-1, classes), teacher.reshape(-1, classes), index, dtypes)
    ]
    return _at_positions(parts, index, student, dtypes)


def _gradients_in_chunks(
    divergence: Rowwise, student: Tensor, teacher: Tensor, index: Tensor | None, scale: float | Tensor
) -> _ValuesAndGradient:
    classes = student.shape[-1]
    dtypes = _Dtypes.of(student, teacher)
    flat = student.reshape(-1, classes)
    gradient = (torch.empty_like if index is None else torch.zeros_like)(flat, dtype=dtypes.gradient)
    # Contiguous rows of the right dtype are written into the result directly.
    in_place = index is None and dtypes.gradient == dtypes.student
    differentiate = divergence.differentiator(scale)
    parts = []
    for chunk in _chunks_of(flat, teacher.reshape(-1, classes), index, dtypes):
        slope = gradient[chunk.rows] if in_place else torch.empty_like(chunk.student)
        parts.append(differentiate(chunk.student, chunk.teacher, slope))
        if not in_place:
            gradient[chunk.rows] = slope.to(dtypes.gradient)
    return _ValuesAndGradient(_at_positions(parts, index, student, dtypes), gradient.view(student.shape))


def _at_positions(parts: list[Tensor], index: Tensor | None, student: Tensor, dtypes: _Dtypes) -> Tensor:
    """Join the values of chunks and put them where their rows are, shape (...); 0 elsewhere."""
    shape = student.shape[:-1]
    values = parts[0] if len(parts) == 1 else torch.cat([student.new_empty(0, dtype=dtypes.student), *parts])
    if index is not None:
        values = values.new_zeros(math.prod(shape)).index_copy_(0, index, values)
    return values.view(shape)
