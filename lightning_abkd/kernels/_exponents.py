"""Exponents of a softmax, to the base 2."""

import math

import torch
from torch import Tensor


def binary_exponents(logits: Tensor, temperature: float = 1.0, out: Tensor | None = None) -> Tensor:
    """Compute (z/T - max z/T) / log 2, so that exp2 of it is the softmax up to its sum.

    Torch computes exp2 several times faster than exp, and one multiplication serves temperature, base and shift.

    Args:
        logits: Shape (N, V), float32 or wider.
        temperature: T > 0.
        out: Shape (N, V), written to; None for a new tensor.

    Returns:
        Exponents, shape (N, V), at most 0 up to the rounding of max z, which all classes of a row share.

    Example:
        >>> binary_exponents(torch.tensor([[0.0, 0.0, -float("inf")]])).exp2()
        tensor([[1., 1., 0.]])
    """
    factor = 1.0 / (math.log(2.0) * temperature)
    return torch.add(logits.amax(-1, keepdim=True).mul_(-factor), logits, alpha=factor, out=out)
