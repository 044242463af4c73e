"""Classes of logits that move from one process to another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

from lightning_abkd._utils import Context
from lightning_abkd.distributed._layout import is_sharded, joined_from

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


def keep_classes(logits: Tensor, classes: int) -> Tensor:
    """Leave out the last classes of logits, such as those that only pad a vocabulary.

    Where the classes are sharded over one dimension of a mesh they are split anew, so that logits of networks with
    different padding can be compared. Only those classes are sent that change their process.

    Args:
        logits: Shape (..., V), a tensor or a DTensor.
        classes: Number of classes to keep, at most V.

    Returns:
        Logits (..., classes), sharded as before.

    Example:
        >>> keep_classes(torch.tensor([[1.0, 2.0, 3.0]]), 2)
        tensor([[1., 2.]])
    """
    if classes == logits.shape[-1] or not is_sharded(logits):
        return logits[..., :classes]
    last = logits.dim() - 1
    dims = [number for number, placement in enumerate(logits.placements) if placement.is_shard(last)]
    if len(dims) != 1:
        return logits[..., :classes]
    return _resplit(logits, classes, dims[0])


def _resplit(logits: "DTensor", classes: int, dim: int) -> Tensor:
    mesh = logits.device_mesh
    before = _bounds(logits.shape[-1], mesh.size(dim))
    after = _bounds(classes, mesh.size(dim))
    moved: Tensor = _Moved.apply(logits.to_local(), mesh.get_group(dim), mesh.get_local_rank(dim), before, after)
    return joined_from(moved, mesh, logits.placements, (*logits.shape[:-1], classes))


def _bounds(classes: int, processes: int) -> list[int]:
    """Return where the classes of each process start, and the end of the last one's."""
    size = -(-classes // processes)
    return [min(classes, number * size) for number in range(processes + 1)]


class _MovedContext(Context):
    options: tuple[ProcessGroup, int, list[int], list[int]]


class _Moved(torch.autograd.Function):
    """The classes between this process's bounds afterwards, from those between the bounds of each process before."""

    @staticmethod
    def forward(
        ctx: _MovedContext, local: Tensor, group: ProcessGroup, rank: int, before: list[int], after: list[int]
    ) -> Tensor:
        ctx.options = (group, rank, before, after)
        return _move(local, group, rank, before, after)

    @staticmethod
    def backward(ctx: _MovedContext, upstream: Tensor) -> tuple[Tensor | None, ...]:
        group, rank, before, after = ctx.options
        return _move(upstream, group, rank, after, before), None, None, None, None


def _move(local: Tensor, group: ProcessGroup, rank: int, before: Sequence[int], after: Sequence[int]) -> Tensor:
    """Send each class to the process that holds it afterwards; classes that nobody held before are 0."""
    columns = local.movedim(-1, 0)
    kept = columns[: max(0, min(before[rank + 1], after[-1]) - before[rank])].contiguous()
    sent = [_overlap(before, rank, after, other) for other in range(len(after) - 1)]
    received = [_overlap(before, other, after, rank) for other in range(len(before) - 1)]
    result = columns.new_zeros(after[rank + 1] - after[rank], *columns.shape[1:])
    dist.all_to_all_single(result[: sum(received)], kept, received, sent, group)
    return result.movedim(0, -1)


def _overlap(first: Sequence[int], i: int, second: Sequence[int], j: int) -> int:
    return max(0, min(first[i + 1], second[j + 1]) - max(first[i], second[j]))
