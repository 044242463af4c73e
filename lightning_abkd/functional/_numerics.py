"""Expressions that stay accurate where their textbook form cancels or overflows."""

import torch
from torch import Tensor

_TINY = 1e-30
_SERIES_BOUND = 0.3
_SERIES_TERMS = 11
# Large enough to behave like infinity in every expression here, small enough that its square is a float32.
_FAR = 1e18

# On processors with AVX-512, expm1 and log1p of torch 2.14 take 15 times as long until a vector of powers was computed.
torch.pow(torch.ones(64, dtype=torch.float32, device="cpu"), 0.7)


def promote(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Cast to the widest dtype among the tensors, at least float32."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return tuple(tensor.to(dtype) for tensor in tensors)


def first_difference(t: Tensor) -> Tensor:
    """Compute exp[0, -t] = (1 - e^-t) / t for t >= 0, which is 1 at t = 0."""
    # expm1(-t) = -t to the last bit for tiny t, so that the floor under t changes no value.
    t = t.clamp(min=_TINY)
    return torch.neg(t).expm1_().neg_().div_(t)


def second_difference(a: Tensor, c: Tensor) -> Tensor:
    """Compute the second divided difference exp[0, -a, -(a + c)] for a, c >= 0, which is 1/2 at a = c = 0.

    Identity: (exp[0, -a] - e^-a exp[0, -c]) / (a + c). It cancels for a small a + c, where the series
    Σ_n (-1)^n h_n(a, b) / (n + 2)! with b = a + c takes over; h_n is the complete homogeneous symmetric polynomial.
    """
    b = a + c
    direct = (first_difference(a) - torch.exp(-a) * first_difference(c)) / b.clamp(min=_SERIES_BOUND)
    small_a, small_b = a.clamp(max=_SERIES_BOUND), b.clamp(max=_SERIES_BOUND)
    series, term, power, factor = torch.zeros_like(b), torch.ones_like(b), torch.ones_like(b), 0.5
    for n in range(_SERIES_TERMS):
        series = series + factor * term
        power = power * small_a
        term = term * small_b + power
        factor /= -(n + 3)
    return torch.where(b < _SERIES_BOUND, series, direct)


def is_free_to_ask(tensor: Tensor) -> bool:
    """Tell whether a number of a tensor may decide what is done: a device would have to be waited for."""
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling()


def finite(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """Replace -inf by a bound that acts like it, and by 0 where both are -inf, so that differences exist.

    Without any, where a processor can tell at once, the tensors come back as they are.
    """
    if is_free_to_ask(log_p) and log_p.numel() and (log_p.amin() + log_q.amin()).item() > -torch.inf:
        return log_p, log_q
    dead = torch.isneginf(log_p) & torch.isneginf(log_q)
    return log_p.masked_fill(dead, 0.0).clamp(min=-_FAR), log_q.masked_fill(dead, 0.0).clamp(min=-_FAR)
