"""How hidden states and output layers lie on several processes, and the parts that this process computes with."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor
from torch.distributed import ProcessGroup

from lightning_abkd.distributed import Layout, is_sharded, on_every_process
from lightning_abkd.losses.hidden._output_head import OutputHead
from lightning_abkd.losses.hidden._teacher_head import TeacherHead

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor, Placement


@dataclass(frozen=True)
class HeadShards:
    """Which classes this process holds.

    Args:
        groups: The processes over which the classes are split.
        first_class: Index of this process's first class.
        classes: Number of classes of all processes.
        largest: Number of classes of the process that holds most.
    """

    groups: Sequence[ProcessGroup]
    first_class: int
    classes: int
    largest: int


@dataclass(frozen=True)
class HeadLayout:
    """Over which dimensions of a mesh the classes are split, and over which the tokens.

    Where hidden states are split over the same processes as the classes they are gathered, because each token needs
    all classes: that is D numbers a token instead of V. Their gradient is a sum over the processes of the classes, and
    that of an output layer a sum over the processes of the tokens; autograd adds both up.

    Args:
        mesh: The mesh of processes.
        class_dims: Its dimensions over which rows of an output layer are split.
        token_dims: Its dimensions over which tokens are split.
    """

    mesh: "DeviceMesh"
    class_dims: tuple[int, ...]
    token_dims: tuple[int, ...]

    @property
    def token_groups(self) -> list[ProcessGroup]:
        """The processes over which the tokens are split."""
        return [self.mesh.get_group(dim) for dim in self.token_dims]

    def shards(self, classes: int) -> HeadShards | None:
        """Return which of the classes this process holds; None if it holds all."""
        from torch.distributed.tensor import Replicate, Shard

        if not self.class_dims:
            return None
        placements = tuple(Shard(1) if dim in self.class_dims else Replicate() for dim in range(self.mesh.ndim))
        layout = Layout(self.mesh, placements, (1, classes))
        largest = classes
        for dim in self.class_dims:
            largest = -(-largest // self.mesh.size(dim))
        return HeadShards(layout.class_groups, layout.first_class, classes, largest)

    def local_head(self, head: OutputHead) -> OutputHead:
        """Return the rows of an output layer that this process computes with."""
        bias = None if head.bias is None else self._local(head.bias, self.class_dims, self.token_dims)
        return replace(head, weight=self._local(head.weight, self.class_dims, self.token_dims), bias=bias)

    def local_tokens(self, values: Tensor) -> Tensor:
        """Return the hidden states or labels of the tokens that this process computes with."""
        return self._local(values, self.token_dims, self.class_dims)

    def _local(self, tensor: Tensor, split: Sequence[int], summed: Sequence[int]) -> Tensor:
        """Return a part of a tensor, whose gradients are parts over some dimensions and add up over others."""
        from torch.distributed.tensor import Partial, Replicate, Shard

        if not is_sharded(tensor):
            tensor = on_every_process(tensor, self.mesh)
        placements: list[Placement] = [Shard(0) if dim in split else Replicate() for dim in range(self.mesh.ndim)]
        gradients = [Partial() if dim in summed else placement for dim, placement in enumerate(placements)]
        local: Tensor = tensor.redistribute(placements=placements).to_local(grad_placements=gradients)
        return local


def head_layout(hidden: Tensor, head: OutputHead, compare: object) -> HeadLayout | None:
    """Find out how the inputs of a loss of hidden states lie on several processes; None if none is a DTensor.

    Args:
        hidden: Hidden states of the student.
        head: The student's output layer.
        compare: What pairs the student's logits with a teacher's; if it is a `TeacherHead`, its tensors count too.

    Raises:
        ValueError: If they lie on different meshes, an output layer is split other than by its rows, or hidden states
            are split other than by tokens.
    """
    teacher = compare if isinstance(compare, TeacherHead) else None
    heads = {"The student's output layer": head.weight}
    states = {"The student's hidden states": hidden}
    if teacher is not None:
        heads["The teacher's output layer"] = teacher.head.weight
        states["The teacher's hidden states"] = teacher.hidden
    mesh = _common_mesh(heads | states)
    if mesh is None:
        return None
    class_dims = _split_dims(heads.values())
    token_dims = tuple(dim for dim in _split_dims(states.values()) if dim not in class_dims)
    return HeadLayout(mesh, class_dims, token_dims)


def _common_mesh(tensors: Mapping[str, Tensor]) -> "DeviceMesh | None":
    mesh: DeviceMesh | None = None
    for name, tensor in tensors.items():
        if is_sharded(tensor):
            mesh = mesh or tensor.device_mesh
            _check(name, tensor, mesh)
    return mesh


def _split_dims(tensors: Iterable[Tensor]) -> tuple[int, ...]:
    sharded = [tensor for tensor in tensors if is_sharded(tensor)]
    found = {dim for x in sharded for dim, placement in enumerate(x.placements) if placement.is_shard()}
    return tuple(sorted(found))


def _check(name: str, tensor: "DTensor", mesh: "DeviceMesh") -> None:
    from torch.distributed.tensor import Replicate, Shard

    if tensor.device_mesh != mesh:
        raise ValueError(
            f"Hidden states and output layers should lie on one mesh. Found {name.lower()} on {tensor.device_mesh}, "
            f"and others on {mesh}. Parallelize both networks over the same mesh."
        )
    if any(placement not in (Replicate(), Shard(0)) for placement in tensor.placements):
        placements = ", ".join(str(placement) for placement in tensor.placements)
        raise ValueError(
            f"{name} should be whole on each process or split by rows, `Shard(0)`. Found a DTensor with {placements}. "
            "Call `redistribute` first."
        )
