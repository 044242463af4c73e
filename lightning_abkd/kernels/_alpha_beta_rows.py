"""The α-β-divergence of cached rows in few vectorised passes, for processors.

With the nodes 0, α, s = α + β sorted to m0 <= m1 <= m2 and W_i = q^s (p/q)^m_i, that is q^s, p^α q^β and p^s, the term
of a class is the divided difference (J12 - J01) / (m2 - m0), J_ij = (W_j - W_i) / (m_j - m_i), and its slope one of the
J or a mixture of both. All W are plain exponentials. Where a difference cancels its series stands in for it.
"""

import math

import torch
from torch import Tensor

from lightning_abkd.kernels._alpha_beta_sums import AlphaBetaSums

_LOG2E = 1.0 / math.log(2.0)
# Below these |m_j - m_i| |d| a difference is replaced by its series: truncation and cancellation both below 5e-6.
_PAIR_BOUND = 0.1
_TERM_BOUND = 0.35
# A gap above this share of the widest one cancels only where the series of the term has taken over.
_WIDE_SHARE = 0.25
_NARROW = 1 / 32


class _Plan:
    """The numbers that depend on α and β alone."""

    def __init__(self, alpha: float, beta: float) -> None:
        self.total = alpha + beta
        self.nodes = sorted((0.0, alpha, self.total))
        low, middle, high = self.nodes
        self.span = high - low
        self.gaps = (middle - low, high - middle)
        # Differences are kept without their divisor 1 / gap; equal nodes give the derivative itself.
        self.scales = [1.0 / gap if gap else 1.0 for gap in self.gaps]
        self.mean = sum(self.nodes) / 3.0
        deviations = [node - self.mean for node in self.nodes]
        self.second = sum(x**2 for x in deviations) / 48.0
        self.third = sum(x**3 for x in deviations) / 360.0
        # The slope is exp[0, αd], the mixture of J01 and J12 that spans the nodes 0 and α.
        if min(0.0, alpha) > low:
            self.share = 0.0
        else:
            self.share = 1.0 if max(0.0, alpha) <= middle else (middle - low) / self.span


class _Workspace:
    """The buffers of one chunk; every operation writes into one of them."""

    def __init__(self, like: Tensor) -> None:
        self.shape = like.shape
        buffers = torch.empty((11, *like.shape), dtype=like.dtype, device=like.device)
        self.log_q, self.d, self.square, self.low, self.middle, self.high = buffers[:6]
        self.first, self.last, self.base, self.spare, self.near = buffers[6:]


def _power(work: _Workspace, node: float, out: Tensor) -> Tensor:
    """Write q^s (p/q)^node."""
    return (
        torch.add(work.base, work.d, alpha=node * _LOG2E, out=out).exp2_() if node else torch.exp2(work.base, out=out)
    )


def _pair(work: _Workspace, plan: _Plan, lower: Tensor, upper: Tensor, gap: float, out: Tensor) -> None:
    """Write upper - lower; where y = gap d/2 is small, as gap d (upper + lower)/2 (tanh y)/y."""
    if gap == 0.0:
        torch.mul(lower, work.d, out=out)
        return
    torch.sub(upper, lower, out=out)
    if gap >= _WIDE_SHARE * plan.span and gap >= _NARROW:
        return
    torch.mul(work.square, -(gap**3) / 24.0, out=work.spare).add_(0.5 * gap).mul_(work.d)
    near = torch.add(upper, lower, out=work.near).mul_(work.spare)
    out.lerp_(near, torch.lt(work.square, (_PAIR_BOUND / gap) ** 2, out=work.spare))


def _terms(work: _Workspace, plan: _Plan) -> Tensor:
    """Compute the terms from the J; where all nodes are close, as d² exp[·,·,·] by its series around their mean."""
    centre = work.base.add_(work.d, alpha=plan.mean * _LOG2E).exp2_()
    series: Tensor = torch.mul(work.d, plan.third, out=work.near).add_(plan.second).mul_(work.square).add_(0.5)
    series = series.mul_(centre).mul_(work.square)
    if plan.span == 0.0:
        return series
    lower, upper = (scale / plan.span for scale in plan.scales)
    torch.mul(work.last, upper, out=work.spare).sub_(work.first, alpha=lower)
    terms: Tensor = work.spare.lerp_(series, torch.lt(work.square, (_TERM_BOUND / plan.span) ** 2, out=centre))
    return terms


def _slope(work: _Workspace, plan: _Plan) -> tuple[Tensor, float]:
    """Give q^s E(α; d) up to a factor, and the factor."""
    first, last = plan.scales
    if plan.share in (0.0, 1.0):
        return (work.first, first) if plan.share else (work.last, last)
    return work.last.mul_((1.0 - plan.share) * last).add_(work.first, alpha=plan.share * first), 1.0


class AlphaBetaRows:
    """The α-β-divergence of rows of logits and its gradient by the student's logits, in one pass.

    The same numbers as `lightning_abkd.functional.alpha_beta_divergence`, to float32 rounding. Made for chunks whose
    few working copies, kept from call to call, stay in the processor's cache. Rows that are far enough apart are done
    by the faster `AlphaBetaSums`, the others term by term.

    Args:
        alpha: α.
        beta: β.
        temperature: T > 0.
        each: Whether each row's value counts, to 1e-5 of itself, or their mean alone, to 1e-4 where it is smallest.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> gradient = torch.empty(1, 2)
        >>> value = AlphaBetaRows(alpha=1.0, beta=0.0)(student, teacher, gradient)
        >>> round(value.item(), 4), [round(x, 4) for x in gradient[0].tolist()]
        (0.4338, [0.3808, -0.3808])
    """

    def __init__(self, alpha: float, beta: float, temperature: float = 1.0, each: bool = True) -> None:
        self._plan = _Plan(alpha, beta)
        self._sums = AlphaBetaSums(alpha, beta, temperature, each) if AlphaBetaSums.suits(alpha, beta) else None
        self._temperature = temperature
        self._work: _Workspace | None = None

    def __call__(
        self, student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> Tensor | None:
        """Compute the divergence of each row and write its gradient.

        Args:
            student_logits: float32, shape (N, V).
            teacher_logits: float32, shape (N, V).
            gradient: float32, shape (N, V), overwritten with the gradient by the student's logits; None for none.
            scale: Factor of the gradient.

        Returns:
            Values, shape (N,), or None where logits are infinite, too large for float32, or NaN: such rows are for the
            general form, which also tells whether the divergence itself is infinite.
        """
        if self._sums is not None:
            sums = self._sums(student_logits, teacher_logits, gradient, scale)
            if sums is not None:
                return sums
        values = self._term_by_term(student_logits, teacher_logits, gradient, scale)
        return values if math.isfinite(values.sum().item()) else None

    def _term_by_term(
        self, student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor | None, scale: float
    ) -> Tensor:
        if self._work is None or self._work.shape != student_logits.shape:
            self._work = _Workspace(student_logits)
        plan, work = self._plan, self._work
        if self._temperature != 1.0:
            student_logits = torch.div(student_logits, self._temperature, out=work.spare)
            teacher_logits = torch.div(teacher_logits, self._temperature, out=work.near)
        torch._log_softmax(student_logits, -1, False, out=work.log_q)
        torch._log_softmax(teacher_logits, -1, False, out=work.d).sub_(work.log_q)
        torch.mul(work.d, work.d, out=work.square)
        torch.mul(work.log_q, plan.total * _LOG2E, out=work.base)
        low = _power(work, plan.nodes[0], work.low)
        middle = _power(work, plan.nodes[1], work.middle) if plan.gaps[0] else low
        high = _power(work, plan.nodes[2], work.high) if plan.gaps[1] else middle
        _pair(work, plan, low, middle, plan.gaps[0], work.first)
        _pair(work, plan, middle, high, plan.gaps[1], work.last)
        # Rounding may leave a sum of terms >= 0 below zero by its last bit.
        values = _terms(work, plan).sum(-1).clamp_(min=0.0)
        if gradient is not None:
            slope, factor = _slope(work, plan)
            factor *= scale / self._temperature
            share = slope.sum(-1, keepdim=True).mul_(factor)
            torch.sub(work.log_q.mul_(_LOG2E).exp2_().mul_(share), slope, alpha=factor, out=gradient)
        return values
