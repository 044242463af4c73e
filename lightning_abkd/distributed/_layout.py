"""How logits lie on the processes of a mesh, and the part of them that this process holds."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import ProcessGroup

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor, Placement


def is_sharded(tensor: object) -> "TypeGuard[DTensor]":
    """Return True if a tensor is spread over a mesh of processes, a `torch.distributed.tensor.DTensor`.

    Example:
        >>> import torch
        >>> is_sharded(torch.zeros(2, 3))
        False
    """
    # Importing DTensor takes half a second, and there is none before somebody has imported it.
    if type(tensor) is Tensor or "torch.distributed.tensor" not in sys.modules or not dist.is_available():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with what all processes hold of it; a plain tensor as it is.

    Example:
        >>> whole(torch.ones(2))
        tensor([1., 1.])
    """
    return tensor.full_tensor() if is_sharded(tensor) else tensor


@dataclass(frozen=True)
class Layout:
    """Where the classes and the positions of logits (..., V) lie.

    Args:
        mesh: The mesh of processes.
        placements: One for each dimension of the mesh, of logits.
        shape: Shape of the logits of all processes.

    Example: see `layout_of`.
    """

    mesh: "DeviceMesh"
    placements: "tuple[Placement, ...]"
    shape: tuple[int, ...]

    @property
    def class_groups(self) -> list[ProcessGroup]:
        """The processes over which the classes are split, a group for each dimension of the mesh."""
        return [self.mesh.get_group(dim) for dim in self._dims(of_classes=True)]

    @property
    def position_groups(self) -> list[ProcessGroup]:
        """The processes over which the positions are split, a group for each dimension of the mesh."""
        return [self.mesh.get_group(dim) for dim in self._dims(of_classes=False)]

    def _dims(self, of_classes: bool) -> list[int]:
        last = len(self.shape) - 1
        sharded = [number for number, placement in enumerate(self.placements) if placement.is_shard()]
        return [number for number in sharded if self.placements[number].is_shard(last) is of_classes]

    @property
    def first_class(self) -> int:
        """Index of this process's first class; as `torch.chunk`, DTensor gives the last processes fewer classes."""
        first = 0
        held = self.shape[-1]
        for dim in self._dims(of_classes=True):
            size = -(-held // self.mesh.size(dim))
            start = min(held, self.mesh.get_local_rank(dim) * size)
            first += start
            held = min(size, held - start)
        return first

    def local_logits(self, logits: Tensor) -> Tensor:
        """Return this process's part of logits, with a gradient; those that are whole on each process are cut."""
        return self._local(logits, self.placements)

    def local_positions(self, values: Tensor) -> Tensor:
        """Return this process's part of one value a position (...), such as a mask, whole or in parts already."""
        if not is_sharded(values) and tuple(values.shape) == self.local_shape[:-1]:
            return values
        return self._local(values, self._position_placements())

    @property
    def local_shape(self) -> tuple[int, ...]:
        """Shape of this process's part of the logits."""
        shape = list(self.shape)
        for number, placement in enumerate(self.placements):
            for dim, size in enumerate(shape):
                if placement.is_shard(dim):
                    chunk = -(-size // self.mesh.size(number))
                    shape[dim] = max(0, min(chunk, size - self.mesh.get_local_rank(number) * chunk))
        return tuple(shape)

    def joined(self, values: Tensor) -> Tensor:
        """Return one value a position (...) of all processes, a DTensor where the positions are split over them."""
        placements = self._position_placements()
        if not any(placement.is_shard() for placement in placements):
            return values
        return joined_from(values, self.mesh, placements, self.shape[:-1])

    def _position_placements(self) -> "tuple[Placement, ...]":
        from torch.distributed.tensor import Replicate

        of_classes = self._dims(of_classes=True)
        return tuple(Replicate() if number in of_classes else x for number, x in enumerate(self.placements))

    def _local(self, tensor: Tensor, placements: "Sequence[Placement]") -> Tensor:
        if not is_sharded(tensor):
            tensor = on_every_process(tensor, self.mesh)
        # Only what is whole is cut here, which tells the processes nothing.
        local: Tensor = tensor.redistribute(placements=placements).to_local()
        return local

    def __str__(self) -> str:
        sizes = " × ".join(str(size) for size in self.mesh.shape)
        return f"{', '.join(str(x) for x in self.placements)} on a mesh of {sizes} processes"


def joined_from(
    local: Tensor, mesh: "DeviceMesh", placements: "Sequence[Placement]", shape: Sequence[int]
) -> "DTensor":
    """Return the tensor (DTensor) of a shape of which each process holds a part, of any size."""
    from torch.distributed.tensor import DTensor

    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return DTensor.from_local(
        local, mesh, placements, run_check=False, shape=torch.Size(shape), stride=tuple(strides[: len(shape)])
    )


def on_every_process(tensor: Tensor, mesh: "DeviceMesh") -> "DTensor":
    """Return a tensor that all processes of a mesh have as a DTensor."""
    from torch.distributed.tensor import DTensor, Replicate

    return DTensor.from_local(tensor, mesh, [Replicate()] * mesh.ndim, run_check=False)


def layout_of(logits: Mapping[str, Tensor]) -> Layout:
    """Find the common layout of logits, of which some may be whole on each process.

    Args:
        logits: Logits of one shape (..., V) by their names, at least one of them a DTensor.

    Returns:
        The layout: for each dimension of the mesh how the logits are sharded that are.

    Raises:
        ValueError: If two are sharded in different ways or on different meshes, or if some are sums that are pending.

    Example:
        >>> from torch.distributed.tensor import DTensor, Shard, init_device_mesh
        >>> def local_classes(student: DTensor, teacher: Tensor) -> Tensor:
        ...     layout = layout_of({"student_logits": student, "teacher_logits": teacher})
        ...     return layout.local_logits(teacher)
    """
    from torch.distributed.tensor import Replicate

    sharded = {name: x for name, x in logits.items() if is_sharded(x)}
    first = next(iter(sharded.values()))
    for name, tensor in sharded.items():
        if tensor.device_mesh != first.device_mesh:
            raise ValueError(
                f"Logits of student and teacher should lie on one mesh. Found {_described(sharded)}. "
                "Parallelize both networks over the same mesh."
            )
        _check_placements(name, tensor)
    placements: list[Placement] = []
    for dim in range(first.device_mesh.ndim):
        found = {x.placements[dim] for x in sharded.values() if x.placements[dim].is_shard()}
        if len(found) > 1:
            raise ValueError(
                f"Logits of student and teacher should be sharded in the same way, or one of them not at all. Found "
                f"{_described(sharded)}. Give both networks the same `output_layouts`, or call `redistribute`."
            )
        placements.append(next(iter(found), Replicate()))
    return Layout(first.device_mesh, tuple(placements), tuple(first.shape))


def _check_placements(name: str, logits: "DTensor") -> None:
    from torch.distributed.tensor import Replicate, Shard

    if any(type(placement) not in (Replicate, Shard) for placement in logits.placements):
        raise ValueError(
            f"Logits should be sharded or whole on each process. Found {_described({name: logits})}. "
            "Call `redistribute` first, such as to `[Shard(-1)]`."
        )


def _described(logits: "Mapping[str, DTensor]") -> str:
    return " and ".join(
        f"`{name}` with {', '.join(str(x) for x in tensor.placements)} on {tensor.device_mesh}"
        for name, tensor in logits.items()
    )
