"""Exponents of a softmax, to the base 2."""

import math

import torch
from torch import Tensor


def softmax_exponents(logits: Tensor, temperature: float = 1.0, out: Tensor | None = None) -> Tensor:
    r"""Compute the exponents to the base 2 whose powers are the softmax up to its sum.

    .. math::

        x_k = \frac{z_k - \max_j z_j}{T \log 2}, \qquad
        2^{x_k} \Big/ \sum_j 2^{x_j} = \mathrm{softmax}(z / T)_k

    where:

    - z -> `logits`.
    - T -> `temperature`: greater than 0.

    Torch computes exp2 several times faster than exp, and one multiplication serves temperature, base and shift.

    Args:
        logits: Shape (N, V), float32 or wider.
        temperature: T.
        out: Shape (N, V), overwritten; None allocates a tensor.

    Returns:
        Exponents, shape (N, V), at most 0 up to the rounding of max z, which all classes of a row share.

    Example:
        >>> softmax_exponents(torch.tensor([[0.0, 0.0, -float("inf")]])).exp2()
        tensor([[1., 1., 0.]])
    """
    factor = 1.0 / (math.log(2.0) * temperature)
    return torch.add(logits.amax(-1, keepdim=True).mul_(-factor), logits, alpha=factor, out=out)
