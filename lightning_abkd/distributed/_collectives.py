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
        rows: Rows of this process, shape (N, ...); another process may have more of them or fewer. No gradient goes
            back.

    Returns:
        Rows of all processes, shape (sum of N, ...); without a group `rows` itself.
    """
    if not is_distributed():
        return rows
    counts = torch.cat(_gather(torch.tensor([len(rows)], device=rows.device))).tolist()
    # Messages have to be of one size.
    padding = rows.new_zeros(max(counts) - len(rows), *rows.shape[1:])
    gathered = _gather(torch.cat([rows.detach(), padding]))
    return torch.cat([part[:count] for part, count in zip(gathered, counts, strict=True)])


def _gather(values: Tensor) -> list[Tensor]:
    gathered = [torch.empty_like(values) for _ in range(world_size())]
    dist.all_gather(gathered, values)
    return gathered


def sum_over_ranks(values: Tensor) -> Tensor:
    """Add up a tensor of each process, element by element.

    Args:
        values: Tensor of this process; each process has one of the same shape. No gradient goes back.

    Returns:
        The sum, the same on each process; without a group `values` itself.
    """
    if not is_distributed():
        return values
    total = values.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def gather_objects(value: T) -> list[T]:
    """Return a picklable object of each process in the order of ranks; without a group only the given one."""
    if not is_distributed():
        return [value]
    found: list[T] = [value] * world_size()
    dist.all_gather_object(found, value)
    return found
