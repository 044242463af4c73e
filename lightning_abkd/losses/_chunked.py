"""Rows of logits worked off in chunks, value and gradient in one pass."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd.functional import can_read_without_sync
from lightning_abkd.losses._base import Reduction

Differentiator = Callable[[Tensor, Tensor, Tensor], Tensor]

# Elements of a chunk: on a processor working copies should fit in the cache, and calls take longer than to start them.
_CHUNK_ELEMENTS = {"cpu": 1 << 19}
_DEFAULT_CHUNK_ELEMENTS = 1 << 24


class Rowwise(Protocol):
    """What a divergence gives to be worked off so; see `Divergence`."""

    temperature: Tensor
    scale_by_temperature: bool
    reduction: Reduction

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        """Give the function that computes values (n,) and writes the scaled gradient (n, V)."""

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor: ...


def chunks(rows: int, classes: int, device: str) -> Iterator[slice]:
    """Part rows into slices that fit the device's cache."""
    size = max(1, _CHUNK_ELEMENTS.get(device, _DEFAULT_CHUNK_ELEMENTS) // max(classes, 1))
    # Threads share the rows of a chunk evenly.
    size -= size % torch.get_num_threads() if size >= torch.get_num_threads() else 0
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


class _Context(Protocol):
    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]
    divergence: Rowwise
    gradient: Tensor | None
    mask: Tensor | None
    weight: float | Tensor

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class Chunked(torch.autograd.Function):
    """The reduced values of all rows, and their gradient in the same pass; a second backward pass recomputes it."""

    @staticmethod
    def forward(ctx: _Context, student: Tensor, teacher: Tensor, mask: Tensor | None, divergence: Rowwise) -> Tensor:
        ctx.save_for_backward(student, teacher)
        ctx.mask, ctx.divergence, ctx.weight = mask, divergence, _weight(divergence, student, mask)
        values, ctx.gradient = _run(divergence, student, teacher, mask, ctx.weight if ctx.needs_input_grad[0] else None)
        return (values if divergence.reduction == "none" else values.sum()) * ctx.weight

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            student, teacher = ctx.saved_tensors
            gradient = _run(ctx.divergence, student, teacher, ctx.mask, ctx.weight)[1]
        if gradient is None:
            raise RuntimeError("The gradient of a divergence was asked for, but its student logits need none.")
        # A loss that is not weighted saves a pass over the gradient.
        if upstream.dim() or not can_read_without_sync(upstream) or upstream.item() != 1.0:
            # Without a dimension the factor would be rounded to the gradient's dtype.
            gradient.mul_(upstream.unsqueeze(-1) if upstream.dim() else upstream.view((1,) * gradient.dim()))
        return gradient.to(ctx.saved_tensors[0].dtype), None, None, None


def _weight(divergence: Rowwise, student: Tensor, mask: Tensor | None) -> float | Tensor:
    """Compute the factor of every value: T² where scaled by it, over the count for a mean; a number on processors."""
    weight: float | Tensor = 1.0
    if divergence.scale_by_temperature:
        temperature = divergence.temperature
        weight = temperature.item() ** 2 if can_read_without_sync(temperature) else temperature.square()
    if divergence.reduction == "mean" and student.numel():
        count = math.prod(student.shape[:-1]) if mask is None else mask.sum().clamp(min=1)
        weight = weight / (count.item() if isinstance(count, Tensor) and can_read_without_sync(count) else count)
    return weight


def _run_at_once(
    divergence: Rowwise, student: Tensor, teacher: Tensor, scale: float | Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Work off rows that are one chunk in few calls: these are what a small batch costs."""
    # Entering a context that changes nothing is a tenth of the loss of a small batch.
    device = student.device.type
    with torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext():
        if scale is None:
            return divergence._values(student, teacher), None
        gradient = torch.empty_like(student)
        return divergence.differentiator(scale)(student, teacher, gradient), gradient


def _run(
    divergence: Rowwise, student: Tensor, teacher: Tensor, mask: Tensor | None, scale: float | Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Work off the rows in chunks; the gradient is scaled, None leaves it out. Masked rows are never read."""
    plain = mask is None and student.dim() == 2 and student.dtype == teacher.dtype == torch.float32
    if plain and student.numel() <= _CHUNK_ELEMENTS.get(student.device.type, _DEFAULT_CHUNK_ELEMENTS):
        return _run_at_once(divergence, student, teacher, scale)
    classes = student.shape[-1]
    flat_student, flat_teacher = student.reshape(-1, classes), teacher.reshape(-1, classes)
    dtype, teacher_dtype = (torch.promote_types(x.dtype, torch.float32) for x in (student, teacher))
    counted = None if mask is None else mask.reshape(-1).nonzero().squeeze(-1)
    gradient = None
    if scale is not None:
        # The gradient of a row before scaling by the loss's own factor may be below what float16 holds.
        store = dtype if student.dtype == torch.float16 else student.dtype
        gradient = (torch.empty_like if counted is None else torch.zeros_like)(flat_student, dtype=store)
    differentiate, values = divergence.differentiator(1.0 if scale is None else scale), []
    rows = len(flat_student) if counted is None else len(counted)
    with torch.autocast(student.device.type, enabled=False):
        for chunk in chunks(rows, classes, student.device.type):
            index = chunk if counted is None else counted[chunk]
            logits, target = flat_student[index].to(dtype), flat_teacher[index].to(teacher_dtype)
            if gradient is None:
                values.append(divergence._values(logits, target))
            elif counted is None and store == logits.dtype:
                values.append(differentiate(logits, target, gradient[index]))
            else:
                values.append(differentiate(logits, target, slope := torch.empty_like(logits)))
                gradient[index] = slope.to(store)
    joined = values[0] if len(values) == 1 else torch.cat([student.new_empty(0, dtype=dtype), *values])
    if counted is not None:
        joined = joined.new_zeros(len(flat_student)).index_copy_(0, counted, joined)
    return joined.view(student.shape[:-1]), None if gradient is None else gradient.view(student.shape)
