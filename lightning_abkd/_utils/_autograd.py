"""The type of the `ctx` that torch passes to autograd functions."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Context(Protocol):
    """The part of `torch.autograd.function.FunctionCtx` that is used; a subclass adds what it keeps for backward."""

    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple["Tensor", ...]

    def save_for_backward(self, *tensors: "Tensor | None") -> None:
        """Keep inputs or outputs for the backward pass."""

    def mark_non_differentiable(self, *tensors: "Tensor") -> None:
        """Declare outputs that have no gradient."""

    def mark_dirty(self, *tensors: "Tensor") -> None:
        """Declare inputs that were changed in place."""
