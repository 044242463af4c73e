"""The output layer of a language model, as numbers that a loss may use."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class OutputHead:
    """The last layer of a language model: logits = c tanh(s (h Wᵀ + b) / c), or s (h Wᵀ + b) without soft-cap c.

    Args:
        weight: W, shape (V, D).
        bias: b, shape (V,).
        scale: s (Cohere, Granite).
        softcap: c > 0 (Gemma 2).

    Example:
        >>> OutputHead(torch.eye(3, 2), scale=2.0).logits(torch.tensor([1.0, 3.0]))
        tensor([2., 6., 0.])
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None

    def logits(self, hidden: Tensor) -> Tensor:
        """Compute logits (..., V) of hidden states (..., D) in the dtype of the weight."""
        logits = torch.nn.functional.linear(hidden.to(self.weight.dtype), self.weight, self.bias)
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else (logits / self.softcap).tanh() * self.softcap

    def write(self, hidden: Tensor, out: Tensor) -> Tensor:
        """Compute the logits of rows (n, D) into a buffer (n, V) and give it; without the autograd's notice."""
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
        """Turn the gradient by the logits into that by h Wᵀ + b, in place."""
        if self.scale != 1.0:
            gradient.mul_(self.scale)
        return gradient if self.softcap is None else gradient.mul_(1.0 - (logits / self.softcap).square())

    def cut(self, vocabulary: int) -> "OutputHead":
        """Leave out the rows from `vocabulary` on, which only pad it."""
        bias = None if self.bias is None else self.bias[:vocabulary]
        return replace(self, weight=self.weight[:vocabulary], bias=bias)

    def to(self, target: torch.dtype | torch.device) -> "OutputHead":
        """Give the head with weight and bias in a dtype or on a device."""
        return replace(self, weight=self.weight.to(target), bias=None if self.bias is None else self.bias.to(target))
