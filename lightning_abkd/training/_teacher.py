"""The frozen teacher, kept where Lightning does not see it."""

from collections.abc import Callable, Mapping
from typing import Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

TeacherDtype = Literal["float32", "bfloat16", "float16"]


class Teacher:
    """A network in eval mode without gradient; not an `nn.Module`, so that nothing trains, casts or saves it.

    Args:
        network: Any network; its parameters are frozen.
        dtype: Floating dtype of its weights and arithmetic; None keeps the weights' dtype and leaves the arithmetic to
            the trainer's precision.

    Example:
        >>> teacher = Teacher(nn.Linear(2, 2).train())
        >>> teacher.network.training, teacher.network.weight.requires_grad
        (False, False)
    """

    def __init__(self, network: nn.Module, dtype: TeacherDtype | None = None) -> None:
        trainable = sum(parameter.requires_grad for parameter in network.parameters())
        if trainable:
            rank_zero_info(f"Froze the teacher {type(network).__name__}: {trainable} trainable parameter tensors.")
        self.network = network.requires_grad_(False).eval()
        self._parts = list(network.modules())
        self.own_precision = dtype is not None
        if dtype is not None:
            self.network.to(getattr(torch, dtype))

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
        with torch.no_grad():
            if not self.own_precision:
                return call(part, inputs, dtype)
            device = next((p.device for p in self.network.parameters()), torch.device("cpu"))
            with torch.autocast(device.type, enabled=False):
                return call(part, inputs, dtype)

    def to(self, device: torch.device) -> None:
        """Move the network to a device; its dtype stays."""
        self.network.to(device)


def call(network: Callable[..., object], inputs: object, dtype: torch.dtype | None = None) -> object:
    """Call a network with one argument, or with the items of a mapping by keyword; cast floating tensors to `dtype`."""
    if isinstance(inputs, Mapping):
        return network(**{name: _cast(value, dtype) for name, value in inputs.items()})
    return network(_cast(inputs, dtype))


def _cast(inputs: object, dtype: torch.dtype | None) -> object:
    cast = dtype is not None and isinstance(inputs, Tensor) and inputs.is_floating_point()
    return inputs.to(dtype) if cast and isinstance(inputs, Tensor) else inputs
