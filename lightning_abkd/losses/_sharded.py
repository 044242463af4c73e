"""Divergences of logits that lie on several processes: DTensors, sharded over classes, positions or both."""

from typing import ClassVar, Protocol

import torch
from torch import Tensor

from lightning_abkd.distributed import Layout, divergence_from_shards, layout_of, sum_over_processes
from lightning_abkd.losses._base import Reduction, check_mask, check_shapes, split_classes
from lightning_abkd.losses._chunked import Chunked, Differentiator, Rowwise


class ShardedRowwise(Rowwise, Protocol):
    """What a divergence offers so that it can be computed from logits on several processes; see `Divergence`."""

    is_sum_over_classes: ClassVar[bool]

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position."""

    @property
    def is_learnt(self) -> bool: ...

    def _is_chunked(self, student_logits: Tensor, teacher_logits: Tensor) -> bool: ...

    def _values_at_once(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> Tensor: ...


def sharded_divergence(
    divergence: ShardedRowwise, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None
) -> Tensor:
    """Compute a divergence of a batch whose logits lie on several processes; see `Divergence.forward`.

    Returns:
        The loss, which is the same on all processes. For reduction "none", the values (...): a DTensor if the positions
        lie on several processes.

    Raises:
        ValueError: If shapes or layouts do not fit each other, or classes are split and the divergence is no sum over
            classes.
        TypeError: If the mask is not boolean.
    """
    check_shapes(student_logits, teacher_logits)
    layout = layout_of({"student_logits": student_logits, "teacher_logits": teacher_logits})
    if mask is not None:
        check_mask(mask, layout.shape[:-1], layout.local_shape[:-1])
        mask = layout.local_positions(mask)
    student = layout.local_logits(student_logits)
    teacher = layout.local_logits(teacher_logits)
    if not layout.class_groups:
        values = _whole_rows(divergence, student, teacher, mask)
    elif divergence.is_sum_over_classes and not divergence.is_learnt:
        groups = layout.class_groups
        values = divergence_from_shards(student, teacher, divergence.pointwise, divergence.temperature, groups, mask)
    else:
        raise split_classes(type(divergence).__name__, f"logits with {layout}")
    if divergence.scale_by_temperature:
        values = values * divergence.temperature.square()
    return _reduced(values, mask, divergence.reduction, layout)


class _EachRow:
    """A divergence that returns one value a position, not scaled."""

    scale_by_temperature = False
    reduction: Reduction = "none"

    def __init__(self, divergence: ShardedRowwise) -> None:
        self._divergence = divergence
        self.temperature = divergence.temperature

    def differentiator(self, scale: float | Tensor = 1.0) -> Differentiator:
        return self._divergence.differentiator(scale)

    def _values(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        return self._divergence._values(student_logits, teacher_logits)


def _whole_rows(divergence: ShardedRowwise, student: Tensor, teacher: Tensor, mask: Tensor | None) -> Tensor:
    """Compute the values (...) of this process's positions, with all their classes."""
    if divergence._is_chunked(student, teacher):
        values: Tensor = Chunked.apply(student, teacher, mask, _EachRow(divergence))
        return values
    return divergence._values_at_once(student, teacher, mask)


def _reduced(values: Tensor, mask: Tensor | None, reduction: Reduction, layout: Layout) -> Tensor:
    """Reduce over the counted positions of all processes; without any the result is a zero that has a gradient."""
    if mask is not None:
        values = values.masked_fill(~mask, 0.0)
    if reduction == "none":
        return layout.joined(values)
    total = sum_over_processes(values.sum(), layout.position_groups)
    if reduction == "sum":
        return total
    if mask is None:
        return total / max(1, torch.Size(layout.shape[:-1]).numel())
    return total / sum_over_processes(mask.sum(), layout.position_groups).clamp(min=1)
