"""Terms and slopes of the α-β-divergence, class by class.

With u = log p, v = log q, d = u - v and s = α + β, all are made of the powers q^s, p^α q^β and p^s. Where α, β ≥ 0 none
exceeds 1. At a negative exponent a power may overflow although the term does not, because p and q differ little. So
each is multiplied as e^(x/2) · difference · e^(x/2), x the largest of the three exponents: this overflows only if the
product does.
"""

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from lightning_abkd.functional._numerics import (
    EXCLUDED,
    are_moderate,
    bound_infinities,
    can_read_without_sync,
    first_difference,
    scaled_second_difference,
)

# Where |α + β| is smaller, dividing a term by it costs digits that the divided difference keeps.
_SMALLEST_TOTAL = 0.25


class Slope(Protocol):
    """The slope g = -∂D/∂log q = q^s (e^(αd) - 1)/α of each class, shape (..., V), for either side's q."""

    def product(self) -> Tensor:
        """Return the slope; ±inf where it leaves the dtype, never NaN."""

    def gradient(self, log_q: Tensor) -> Tensor:
        """Compute the gradient q Σ g - g with respect to logits; ±inf where it leaves the dtype, never NaN."""


class _Plain(NamedTuple):
    """The slope where no power exceeds 1."""

    slope: Tensor

    def product(self) -> Tensor:
        return self.slope

    def gradient(self, log_q: Tensor) -> Tensor:
        return log_q.exp() * self.slope.sum(-1, keepdim=True) - self.slope


class _Scaled(NamedTuple):
    """The slope for any exponents and any finite u and v, computed once it is asked for."""

    u: Tensor
    v: Tensor
    alpha: Tensor
    beta: Tensor

    def product(self) -> Tensor:
        root = (self._exponent() / 2.0).exp_()
        return self._difference().mul_(root).mul_(root)

    def gradient(self, log_q: Tensor) -> Tensor:
        finite = torch.finfo(log_q.dtype)
        exponent = self._exponent().clamp_(max=finite.max / 2.0)
        # In units of the largest power of the row, and of V, the sum over classes is finite.
        unit = exponent.amax(-1, keepdim=True) + math.log(log_q.shape[-1])
        slope = exponent.sub_(unit).exp_().mul_(self._difference())
        root = (unit / 2.0).clamp_(max=math.log(finite.max) - 1.0).exp_()
        return (log_q.exp() * slope.sum(-1, keepdim=True)).sub_(slope).mul_(root).mul_(root)

    def _exponent(self) -> Tensor:
        """Compute the larger exponent of q^s and p^α q^β; 0 where p = q, since these may be inf."""
        mixed = _mixed_exponent(self.u, self.v, self.alpha, self.beta)
        return torch.maximum((self.alpha + self.beta) * self.v, mixed).masked_fill_(self.u == self.v, 0.0)

    def _difference(self) -> Tensor:
        """Compute (e^(αd) - 1)/α over the larger of e^(αd) and 1."""
        d = self.u - self.v
        bound = _largest_factor(self.alpha.abs(), d)
        d = torch.minimum(torch.maximum(d, -bound), bound)
        return first_difference((self.alpha * d).abs_()).mul_(d)


class Comparison(NamedTuple):
    """Values, shape (...), and the slopes of both sides; None for the teacher's where it is not wanted."""

    values: Tensor
    student: Slope
    teacher: Slope | None


def compare(
    log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, powers_fit: bool, of_teacher: bool = False
) -> Comparison:
    """Compute the divergence of each position, and the slopes that its gradient is made of.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, same shape and dtype.
        alpha: α as `exponent_column` returns it.
        beta: β, as `alpha`.
        powers_fit: What `powers_fit` returns for the exponents.
        of_teacher: Whether the teacher's slope is wanted.
    """
    u, v, unchanged = bound_infinities(log_p, log_q)
    student: Slope
    teacher: Slope | None
    # Duality: D_αβ(p‖q) = D_βα(q‖p).
    if powers_fit and (unchanged or are_moderate(u, v)):
        by_teacher = _plain_slope(v, u, beta, alpha)
        by_student = _plain_slope(u, v, alpha, beta)
        # Accurate to the rounding of d, like the divided difference, at a fraction of its cost.
        total = by_teacher + by_student if of_teacher else by_teacher.add_(by_student)
        terms = total.div_(-(alpha + beta))
        student = _Plain(by_student)
        teacher = _Plain(by_teacher) if of_teacher else None
    else:
        terms = _divided_terms(u, v, alpha, beta)
        student = _Scaled(u, v, alpha, beta)
        teacher = _Scaled(v, u, beta, alpha) if of_teacher else None
    if not unchanged:
        terms = _with_one_sided_terms(terms, log_p, log_q, alpha, beta)
    return Comparison(terms.sum(-1).clamp_(min=0.0), student, teacher)


def slope(log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, powers_fit: bool) -> Tensor:
    """Compute the student's slope alone; arguments as in `compare`."""
    u, v, unchanged = bound_infinities(log_p, log_q)
    if powers_fit and (unchanged or are_moderate(u, v)):
        return _plain_slope(u, v, alpha, beta)
    return _Scaled(u, v, alpha, beta).product()


def powers_fit(alpha: float | Tensor, beta: float | Tensor) -> bool:
    """Return True if no power exceeds 1 and every α + β is far enough from 0 to divide by.

    False for exponents on a device, to avoid reading them.
    """
    total = alpha + beta
    if isinstance(total, Tensor) and not can_read_without_sync(total):
        return False
    suits = (total >= _SMALLEST_TOTAL) & (alpha >= 0.0) & (beta >= 0.0)
    return bool(suits.all()) if isinstance(suits, Tensor) else suits


def exponent_column(value: float | Tensor, like: Tensor) -> Tensor:
    """Return an exponent as a tensor that broadcasts against (..., V), constant in the backward pass."""
    if isinstance(value, Tensor):
        return value.detach().to(like).unsqueeze(-1)
    return torch.full((1,), value, dtype=like.dtype, device=like.device)


def _plain_slope(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute -∂D/∂log q for α, β >= 0, with the larger exponential factored out; u and v are moderate."""
    d = u - v
    larger = torch.maximum((alpha + beta) * v, (alpha * u).add_(beta * v)).exp_()
    return larger.mul_(d).mul_(first_difference(d.mul_(alpha).abs_()))


def _divided_terms(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute the term of each class, max(p, q)^s d² exp[0, -c|d|, -s|d|] >= 0, as a divided difference.

    c = α where q > p, β where p > q. Exponents, u and v may be any finite numbers.
    """
    total = alpha + beta
    distance = (u - v).abs()
    student_larger = u < v
    by_alpha = _sorted_gaps(alpha, beta)
    by_beta = _sorted_gaps(beta, alpha)
    gap = torch.where(student_larger, by_alpha.gap, by_beta.gap)
    next_gap = torch.where(student_larger, by_alpha.next_gap, by_beta.next_gap)
    exponent = torch.maximum(total * u, total * v)
    exponent = torch.maximum(exponent, _mixed_exponent(u, v, alpha, beta)).masked_fill_(distance == 0.0, 0.0)
    distance = torch.minimum(distance, _largest_factor(gap + next_gap, distance))
    return scaled_second_difference(exponent.div_(2.0).exp_(), distance, gap, next_gap)


def _mixed_exponent(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute αu + βv, whose products could overflow to inf - inf unless α and β are at most 1."""
    unit = torch.maximum(alpha.abs(), beta.abs()).clamp_(min=1.0)
    return torch.mul(u, alpha / unit).add_(v * (beta / unit)).mul_(unit)


def _largest_factor(exponent: Tensor, like: Tensor) -> Tensor:
    """Return the largest distance whose product with an exponent is finite; e^-product is 0 long before."""
    return torch.finfo(like.dtype).max / (1.001 * exponent).clamp_(min=1.0)


class _SortedGaps(NamedTuple):
    """Three nodes of a divided difference: the gap from the lowest to the middle one, and from there to the highest."""

    gap: Tensor
    next_gap: Tensor


def _sorted_gaps(node: Tensor, other: Tensor) -> _SortedGaps:
    """Return the gaps between the sorted nodes 0, node and node + other, none of which is a difference that cancels."""
    total = node + other
    lowest_is_zero = (node >= 0.0) & (total >= 0.0)
    highest_is_zero = (node <= 0.0) & (total <= 0.0)
    lowest_is_node = (node < 0.0) & (other >= 0.0)
    highest_is_node = (node > 0.0) & (other <= 0.0)
    gap = torch.where(highest_is_zero, other, torch.where(highest_is_node, total, node))
    next_gap = torch.where(lowest_is_zero, other, torch.where(lowest_is_node, total, node))
    return _SortedGaps(gap.abs(), next_gap.abs())


def _with_one_sided_terms(terms: Tensor, log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Replace the terms of classes at -inf on one side alone by their limits."""
    by_teacher = torch.isneginf(log_p) & (log_q >= EXCLUDED)
    by_student = torch.isneginf(log_q) & (log_p >= EXCLUDED)
    terms = torch.where(by_teacher, _one_sided_term(log_q, alpha, alpha + beta), terms)
    return torch.where(by_student, _one_sided_term(log_p, beta, alpha + beta), terms)


def _one_sided_term(log_other: Tensor, exponent: Tensor, total: Tensor) -> Tensor:
    """Compute q^s / (α s), the term where p = 0; +inf unless α and s are positive."""
    finite = (exponent > 0) & (total > 0)
    return torch.where(finite, (total * log_other).exp() / exponent / total, torch.inf)
