"""The output layer of a language model, as weights that a loss can use."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightning_abkd._utils import check_finite, check_positive
from lightning_abkd.distributed import is_sharded, keep_classes, on_every_process


@dataclass(frozen=True)
class OutputHead:
    r"""The last layer of a language model.

    .. math::

        z = c \tanh \frac{s (W h + b)}{c}, \qquad z = s (W h + b) \;\text{ without soft-cap}

    where:

    - h, z -> hidden state and logits of a token.
    - W -> `weight`, b -> `bias`.
    - s -> `scale`: any number (Cohere, Granite).
    - c -> `softcap`: greater than 0 (Gemma 2).

    Args:
        weight: Shape (V, D).
        bias: Shape (V,); None for none.
        scale: Factor of the logits.
        softcap: Bound of the logits; None for none.

    Raises:
        ValueError: If weight and bias have other shapes, `scale` is not finite or `softcap` is not positive and finite.

    Example:
        >>> OutputHead(torch.eye(3, 2), scale=2.0).logits(torch.tensor([1.0, 3.0]))
        tensor([2., 6., 0.])
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def __post_init__(self) -> None:
        check_finite("scale", self.scale)
        if self.softcap is not None:
            check_positive("softcap", self.softcap, "None leaves it out.")
        _check_shapes(self.weight, self.bias)

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute logits (..., V) of hidden states (..., D) in the dtype of the weight; a DTensor if the weight is."""
        if is_sharded(self.weight) and not is_sharded(hidden):
            hidden = on_every_process(hidden, self.weight.device_mesh)
        logits = torch.nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias)
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else (logits / self.softcap).tanh() * self.softcap

    def write(self, hidden: Tensor, out: Tensor) -> Tensor:
        """Compute the logits of rows (n, D) into a buffer (n, V) and return it, without autograd."""
        if out.dtype == self.weight.dtype == hidden.dtype:
            torch.mm(hidden, self.weight.T, out=out)
            if self.bias is not None:
                out.add_(self.bias)
        else:
            out.copy_(torch.nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias))
        if self.scale != 1.0:
            out.mul_(self.scale)
        return out if self.softcap is None else out.div_(self.softcap).tanh_().mul_(self.softcap)

    def pull_back(self, gradient: Tensor, logits: Tensor) -> Tensor:
        """Turn the gradient with respect to the logits into that with respect to h Wᵀ + b, in place."""
        if self.scale != 1.0:
            gradient.mul_(self.scale)
        return gradient if self.softcap is None else gradient.mul_(1.0 - (logits / self.softcap).square())

    def cut(self, vocabulary: int) -> "OutputHead":
        """Return the head without the rows from `vocabulary` on, which are only padding."""
        bias = None if self.bias is None else keep_classes(self.bias, vocabulary)
        return replace(self, weight=keep_classes(self.weight.T, vocabulary).T, bias=bias)

    def to(self, target: torch.dtype | torch.device) -> "OutputHead":
        """Return the head with weight and bias in a dtype or on a device."""
        return replace(self, weight=self.weight.to(target), bias=None if self.bias is None else self.bias.to(target))


def _check_shapes(weight: Tensor, bias: Tensor | None) -> None:
    if weight.dim() != 2:
        raise ValueError(f"Parameter `weight` should have the shape (V, D). Found {tuple(weight.shape)}.")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(
            f"Parameter `bias` should have the shape (V,), {tuple(weight.shape[:1])}. Found {tuple(bias.shape)}."
        )
