"""Tensors that lie on the ranks of a test, and how far they are from those of one process."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

# Every limit of (α, β), and points near one.
LIMITS = [
    (1, 0),
    (0, 1),
    (0, 0),
    (0.5, -0.5),
    (0, 0.5),
    (0.5, 0),
    (-1, 2),
    (-0.3, -0.4),
    (2, -2),
    (0.2, 0.7),
    (1e-6, 0.7),
]
# Operators of torch's collectives that tell other ranks nothing.
NOTHING_TOLD = ("wait_tensor", "_wrap_tensor_autograd")


@contextmanager
def ranks() -> Iterator[DeviceMesh]:
    """Set up the group of all ranks, and leave it."""
    dist.init_process_group("gloo")
    yield init_device_mesh("cpu", (dist.get_world_size(),))
    # The first rank serves the others, which may still set up groups of their own.
    dist.barrier()
    dist.destroy_process_group()


def spread(tensor: Tensor, mesh: DeviceMesh, *dims: int | None) -> Tensor:
    """Split a tensor that all ranks have, along a dimension of its own for each of the mesh; None keeps it whole."""
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor

    placements = [Replicate() if dim is None else Shard(dim) for dim in dims]
    return distribute_tensor(tensor.detach().clone(), mesh, placements, src_data_rank=None)


def whole(tensor: Tensor) -> Tensor:
    """Put a tensor together again."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def error(found: Tensor, expected: Tensor) -> float:
    """Return the largest difference, relative to the largest number above 1; infinite where one alone is no number."""
    if not found.numel():
        return 0.0
    found = found.detach().double()
    expected = expected.detach().double()
    same = (found == expected) | (found.isnan() & expected.isnan())
    distance = (found - expected).abs().masked_fill(same, 0.0).nan_to_num(nan=torch.inf)
    return float(distance.max() / expected[expected.isfinite()].abs().amax().clamp(min=1.0))


@contextmanager
def collectives() -> Iterator[list[tuple[str, int]]]:
    """Collect name and number of elements of each collective."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: list[tuple[str, int]] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
            name = func._schema.name.split("::")[1]
            if func.namespace in ("c10d", "_c10d_functional") and name not in NOTHING_TOLD:
                tensors = [x for x in torch.utils._pytree.tree_leaves(args) if isinstance(x, Tensor)]
                found.append((name, sum(x.numel() for x in tensors)))
            return func(*args, **(kwargs or {}))

    with Counting():
        yield found
