"""The frozen teacher, kept where Lightning does not see it."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from lightning_abkd.distributed import is_distributed, world_size
from lightning_abkd.training._agreement import check_same_on_ranks
from lightning_abkd.training._pieces import is_sharded
from lightning_abkd.training._placement import placed

TeacherDtype = Literal["float32", "bfloat16", "float16"]


class Teacher:
    """A network in eval mode without gradient; not an `nn.Module`, so that nothing trains, casts or saves it.

    Args:
        network: Any network; its parameters are frozen.
        dtype: Floating dtype of its weights and arithmetic; None keeps the weights' dtype and leaves the arithmetic to
            the trainer's precision.
        placement: Where its weights lie, see `DistillationModule`.

    Example:
        >>> teacher = Teacher(nn.Linear(2, 2).train())
        >>> teacher.network.training, teacher.network.weight.requires_grad
        (False, False)
    """

    def __init__(self, network: nn.Module, dtype: TeacherDtype | None = None, placement: str = "replicate") -> None:
        trainable = sum(parameter.requires_grad for parameter in network.parameters())
        if trainable:
            rank_zero_info(f"Froze the teacher {type(network).__name__}: {trainable} trainable parameter tensors.")
        self.network = network.requires_grad_(False).eval()
        self._parts = list(network.modules())
        self.own_precision = dtype is not None
        if dtype is not None:
            self.network.to(getattr(torch, dtype))
        self.placement = placed(self.network, placement)

    def __deepcopy__(self, memo: dict[int, object]) -> "Teacher":
        # Copies of a module (weight averaging, tuners) share the one teacher.
        return self

    def __call__(self, inputs: object, part: Callable[..., object] | None = None) -> object:
        """Run the network on a batch of inputs, a tensor or a mapping of keyword arguments, cast to its dtype.

        `part` is what to run instead of the whole network, such as its backbone.
        """
        # Reading the modes is cheap, setting them is not.
        if any(module.training for module in self._parts):
            self.network.eval()
        part = part or self.network
        dtype = next((p.dtype for p in self.network.parameters() if p.is_floating_point()), torch.float32)
        inputs = self.placement.arriving(inputs)
        with torch.no_grad():
            return self.placement.leaving(self.placement.run(lambda: self._call(part, inputs, dtype)))

    def _call(self, part: Callable[..., object], inputs: object, dtype: torch.dtype) -> object:
        if not self.own_precision:
            return call(part, inputs, dtype)
        with torch.autocast(self.placement.device.type, enabled=False):
            return call(part, inputs, dtype)

    def to(self, device: torch.device) -> None:
        """Follow the student to its device, as far as the placement does; the dtype stays."""
        self.placement.to(device)

    def start(self, device: torch.device, mesh: DeviceMesh | None) -> None:
        """Check that the teacher is equal on all ranks, and divide it between them if it is placed so.

        Args:
            device: Device of the student.
            mesh: Ranks that a strategy shards over; None takes all of them.

        Raises:
            ValueError: If it is not equal.
        """
        if not is_distributed() or is_sharded(self.network):
            return
        check_same_on_ranks(self.network)
        self.placement.share(init_device_mesh(device.type, (world_size(),)) if mesh is None else mesh)


def call(network: Callable[..., object], inputs: object, dtype: torch.dtype | None = None) -> object:
    """Call a network with one argument, or with the items of a mapping by keyword; cast floating tensors to `dtype`."""
    if isinstance(inputs, Mapping):
        return network(**{name: _cast(value, dtype) for name, value in inputs.items()})
    return network(_cast(inputs, dtype))


def _cast(inputs: object, dtype: torch.dtype | None) -> object:
    cast = dtype is not None and isinstance(inputs, Tensor) and inputs.is_floating_point()
    return inputs.to(dtype) if cast and isinstance(inputs, Tensor) else inputs
