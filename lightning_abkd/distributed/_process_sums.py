"""Sums over processes that autograd sees."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.distributed import ProcessGroup

from lightning_abkd.distributed._shard_rows import all_reduce


def sum_over_processes(values: Tensor, groups: Sequence[ProcessGroup]) -> Tensor:
    """Add up values over processes; every process goes on with the same sum.

    Args:
        values: What each process adds, any shape.
        groups: The processes, one group after the other.

    Returns:
        The sums. Their gradient, the same on all processes, is handed to the values of each.

    Example:
        >>> sum_over_processes(torch.ones(2), groups=[])
        tensor([1., 1.])
    """
    result: Tensor = _Summed.apply(values, groups)
    return result


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, values: Tensor, groups: Sequence[ProcessGroup]) -> Tensor:
        return all_reduce(values.clone(), groups)

    @staticmethod
    def backward(ctx: object, upstream: Tensor) -> tuple[Tensor, None]:
        return upstream, None
