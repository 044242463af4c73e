"""Rows of all processes, and how many processes there are."""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def is_distributed() -> bool:
    """Return True if this process belongs to a group of processes, of which there may be one."""
    return dist.is_available() and dist.is_initialized()


def world_size() -> int:
    """Return the number of processes, 1 without a group."""
    return dist.get_world_size() if is_distributed() else 1


def gather_rows(rows: Tensor) -> Tensor:
    """Concatenate the rows of all processes in the order of ranks.

    Args:
        rows: Rows of this process, shape (N, ...); each process has the same number of them. No gradient goes back.

    Returns:
        Rows of all processes, shape (N · processes, ...); without a group `rows` itself.
    """
    if not is_distributed():
        return rows
    joined = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(joined, rows.contiguous())
    return torch.cat(joined)


def gather_objects(own: T) -> list[T]:
    """Return the objects of all processes in the order of ranks on the first one, and its own one on each other.

    Args:
        own: Object of this process, which is pickled.
    """
    if not is_distributed():
        return [own]
    gathered: list[T] | None = [own] * world_size() if dist.get_rank() == 0 else None
    dist.gather_object(own, gathered)
    return [own] if gathered is None else gathered
