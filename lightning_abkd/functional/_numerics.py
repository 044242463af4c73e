"""Expressions that stay accurate where their textbook form cancels or overflows."""

from typing import NamedTuple

import torch
from torch import Tensor

_TINY = 1e-30
_SERIES_BOUND = 0.3
_SERIES_TERMS = 11
# Large enough to behave like infinity in every expression here, small enough that its products are float32.
_FAR = 1e18
# Masks write the least number of float32 or bfloat16, which a temperature may divide. Nothing else is as small.
EXCLUDED = -1e30


def promote_to_float32(tensor: Tensor, *others: Tensor) -> Tensor:
    """Cast a tensor to the widest dtype among it and the others, at least float32.

    Args:
        tensor: Any floating dtype.
        *others: Tensors that it is combined with.

    Returns:
        The tensor in that dtype; the tensor itself if it has that dtype already.

    Example:
        >>> import torch
        >>> promote_to_float32(torch.zeros(2, dtype=torch.bfloat16)).dtype
        torch.float32
        >>> promote_to_float32(torch.zeros(2), torch.zeros(2, dtype=torch.float64)).dtype
        torch.float64
    """
    dtype = torch.promote_types(tensor.dtype, torch.float32)
    for other in others:
        dtype = torch.promote_types(dtype, other.dtype)
    return tensor.to(dtype)


def weighted(weight: float | Tensor, value: Tensor) -> Tensor:
    """Multiply a divergence by a weight; one that has the weight 0 does not count, even if it is infinite."""
    if not isinstance(weight, Tensor):
        return value * weight if weight else torch.zeros_like(value)
    return weight * value.masked_fill(weight == 0.0, 0.0)


def can_read_without_sync(tensor: Tensor) -> bool:
    """Return True if the tensor can be read without synchronising with a device.

    Python code may then branch on its values: the tensor is on the CPU, and no compiler traces the code.

    Example:
        >>> import torch
        >>> can_read_without_sync(torch.zeros(1)), can_read_without_sync(torch.zeros(1, device="meta"))
        (True, False)
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def first_difference(t: Tensor) -> Tensor:
    """Compute exp[0, -t] = (1 - e^-t) / t for t >= 0, which is 1 at t = 0."""
    # expm1(-t) = -t to the last bit for tiny t, so that the floor under t changes no value.
    t = t.clamp(min=_TINY)
    return torch.neg(t).expm1_().neg_().div_(t)


def scaled_second_difference(root: Tensor, distance: Tensor, gap: Tensor, next_gap: Tensor) -> Tensor:
    """Compute (root · distance)² exp[0, -a, -(a + c)] with a = gap · distance and c = next_gap · distance, all >= 0.

    The divided difference is 1/2 at a = c = 0. Identity: (exp[0, -a] - e^-a exp[0, -c]) / (a + c). It cancels for a
    small a + c, where the series Σ_n (-1)^n h_n(a, b) / (n + 2)! with b = a + c takes over; h_n is the complete
    homogeneous symmetric polynomial. The factors are multiplied so that neither root² nor distance² overflows before
    the result.
    """
    a = gap * distance
    c = next_gap * distance
    b = a + c
    ends = distance * first_difference(a) - torch.exp(-a) * (distance * first_difference(c))
    far = root * ends / (gap + next_gap) * root
    near = (root * distance).square() * _series(a.clamp(max=_SERIES_BOUND), b.clamp(max=_SERIES_BOUND))
    return torch.where(b < _SERIES_BOUND, near, far)


def _series(a: Tensor, b: Tensor) -> Tensor:
    """Compute the sum of (-1)^n h_n(a, b) / (n + 2)! with h_n = b h_(n-1) + a^n."""
    total = torch.zeros_like(b)
    polynomial = torch.ones_like(b)
    power = torch.ones_like(b)
    factor = 0.5
    for n in range(_SERIES_TERMS):
        total = total + factor * polynomial
        power = power * a
        polynomial = polynomial * b + power
        factor /= -(n + 3)
    return total


class Bounded(NamedTuple):
    """Finite log-probabilities of teacher and student, which act like those that they stand for."""

    log_p: Tensor
    log_q: Tensor
    unchanged: bool
    """Whether they are the given tensors, all moderate."""


def bound_infinities(log_p: Tensor, log_q: Tensor) -> Bounded:
    """Replace -inf by a bound that acts like it, and by 0 where both sides exclude a class, so that differences exist.

    Moderate tensors are returned as they are if this can be checked without synchronising with a device.
    """
    if can_read_without_sync(log_p) and log_p.numel() and (log_p.amin() + log_q.amin()).item() > -_FAR:
        return Bounded(log_p, log_q, unchanged=True)
    excluded = excluded_by_both(log_p, log_q)
    u, v = (
        log.masked_fill(excluded, 0.0).masked_fill_(torch.isneginf(log) & ~excluded, -_FAR) for log in (log_p, log_q)
    )
    return Bounded(u, v, unchanged=False)


def excluded_by_both(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return True for classes that are impossible for teacher and student, and of which no divergence takes notice.

    They are at -inf or at the least number of float32 or bfloat16, which masks write in its place and a temperature may
    have divided: below -1e30. On one side alone such a number counts as what it is.

    Args:
        log_p: Teacher log-probabilities.
        log_q: Student log-probabilities, same shape.

    Returns:
        Boolean, same shape.

    Example:
        >>> import torch
        >>> log_p, log_q = torch.tensor([-1.0, -torch.inf, -3e38]), torch.tensor([-3e38, -3e38, -3e37])
        >>> excluded_by_both(log_p, log_q)
        tensor([False,  True,  True])
    """
    return (log_p < EXCLUDED) & (log_q < EXCLUDED)


def are_moderate(*logs: Tensor) -> bool:
    """Return True if products with exponents neither overflow nor lose digits; False for tensors on a device."""
    return all(can_read_without_sync(log) and (not log.numel() or log.amin().item() > -2.0 * _FAR) for log in logs)


def warm_up_vectorised_pow() -> None:
    """Compute a vector of powers on the CPU, after which expm1 and log1p are fast.

    On CPUs with AVX-512, both functions of torch 2.14 take 15 times as long until a vector of powers has been computed.
    """
    torch.pow(torch.ones(64, dtype=torch.float32, device="cpu"), 0.7)


# Once per process: whatever computes a divergence imports this file.
warm_up_vectorised_pow()
