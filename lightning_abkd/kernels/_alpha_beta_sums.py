"""The α-β-divergence of rows from sums of powers, for rows that are far enough apart.

With M = p^α q^β and s = α + β, the row sums of q^s, M and p^s give the divergence, and q^s and M its gradient:
G = Σ g = (Σ M - Σ q^s)/α, D = ((Σ p^s - Σ M)/β - G)/s. Where α = 0 or β = 0 a sum of q^s d or p^s d takes the place of
the quotient. No softmax is written out: powers are taken of exp(z/T - max) and normalised a row at a time.
"""

import math
from typing import cast

import torch
from torch import Tensor

from lightning_abkd.kernels._softmax_exponents import softmax_exponents

_LN2 = math.log(2.0)
# Quotients by a smaller exponent lose digits of the gradient, and powers below a total of this spread over all classes.
_SMALLEST_ALPHA = 0.1
_SMALLEST_BETA = 1 / 32
_SMALLEST_TOTAL = 0.5
# Measured for 2 to 50,257 classes and logits of scale 0.3 to 30: rounding changes a row's value by at most
# 6 ε (1/α + 1/β)/s · (Σ p^s + Σ q^s)/2. Values this many times larger are right to 1e-5 each, 1e-4 on average.
_APART = 0.06
_APART_ON_AVERAGE = 0.006


class _Side:
    """One network's rows: the binary logarithm of exp(z/T - max), its power s, and their sums."""

    def __init__(self, logits: Tensor, temperature: float, total: float, buffers: list[Tensor]) -> None:
        self.log = softmax_exponents(logits, temperature, buffers[0])
        self.exp = self.power = torch.exp2(self.log, out=buffers[1])
        self.sum = self.exp.sum(-1, keepdim=True)
        self.unit = self.sum.reciprocal()
        # The sum of the normalised powers; exactly 1 for probabilities.
        self.total: Tensor | float = 1.0
        if total != 1.0:
            self.power = torch.mul(self.log, total, out=buffers[2]).exp2_()
            self.unit = self.sum.pow(-total)
            self.total = self.power.sum(-1, keepdim=True).mul_(self.unit)


class AlphaBetaSums:
    """The α-β-divergence of rows of logits and its gradient by the student's logits, from row sums of powers.

    Faster than term by term, and as accurate unless a row's divergence is small: the sums cancel as p → q. Rows that
    are not far enough apart for that are refused. The gradient does not cancel.

    Args:
        alpha: α, see `suits`.
        beta: β.
        temperature: T > 0.
        each: Whether each row's value counts, to 1e-5 of itself, or their mean, to 1e-4 at worst.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> gradient = torch.empty(1, 2)
        >>> value = AlphaBetaSums(alpha=1.0, beta=0.0)(student, teacher, gradient)
        >>> round(value.item(), 4), [round(x, 4) for x in gradient[0].tolist()]
        (0.4338, [0.3808, -0.3808])
    """

    def __init__(self, alpha: float, beta: float, temperature: float = 1.0, each: bool = False) -> None:
        self._alpha, self._beta, self._temperature = alpha, beta, temperature
        # Numbers that were rounded to float32 add up to 1 only up to that.
        self._total = 1.0 if abs(alpha + beta - 1.0) <= 1e-7 else alpha + beta
        self._each = each
        scale = ((1.0 / alpha if alpha else 1.0) + (1.0 / beta if beta else 1.0)) / self._total
        self._bound = 0.5 * scale * (_APART if each else _APART_ON_AVERAGE)
        self._buffers: list[Tensor] = []

    @staticmethod
    def suits(alpha: float, beta: float) -> bool:
        """Tell whether the sums serve at (α, β): neither negative, and none so small that its quotient cancels."""
        return (
            (alpha == 0.0 or alpha >= _SMALLEST_ALPHA)
            and (beta == 0.0 or beta >= _SMALLEST_BETA)
            and alpha + beta >= _SMALLEST_TOTAL
        )

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
            Values, shape (N,), or None where rows are too close to each other, infinite or NaN.
        """
        if not self._buffers or self._buffers[0].shape != student_logits.shape:
            self._buffers = list(student_logits.new_empty((7, *student_logits.shape)))
        student = _Side(student_logits, self._temperature, self._total, self._buffers[:3])
        teacher = _Side(teacher_logits, self._temperature, self._total, self._buffers[3:6])
        values = (self._of_quotients if self._alpha else self._of_logarithms)(
            student, teacher, gradient, scale / self._temperature
        )
        bound = self._bound * (student.total + teacher.total)
        distance, bound = (values, bound) if isinstance(bound, float) else (values - bound, 0.0)
        if not bound <= (distance.amin() if self._each else distance.mean()).item() < math.inf:
            return None
        return values.squeeze(-1).clamp_(min=0.0)

    def _of_quotients(self, student: _Side, teacher: _Side, gradient: Tensor | None, scale: float) -> Tensor:
        """Take g = (M - q^s)/α."""
        alpha, beta = self._alpha, self._beta
        mixed, unit, total = teacher.power, teacher.unit, teacher.total
        if beta:
            out = self._buffers[6] if gradient is None else gradient
            mixed = torch.mul(teacher.log, alpha, out=out).add_(student.log, alpha=beta).exp2_()
            unit = teacher.sum.pow(-alpha).mul_(student.sum.pow(-beta))
            total = mixed.sum(-1, keepdim=True).mul_(unit)
        slopes = (total - student.total) / alpha
        if gradient is not None:
            torch.mul(mixed, unit * (-scale / alpha), out=gradient)
            if student.power is student.exp:
                gradient.addcmul_(student.exp, student.unit * (slopes + 1.0 / alpha), value=scale)
            else:
                gradient.addcmul_(student.exp, slopes / student.sum, value=scale)
                gradient.addcmul_(student.power, student.unit, value=scale / alpha)
        rest = (teacher.total - total) / beta if beta else self._of_distance(teacher, student, teacher)
        # For probabilities of which one is the mixed power both sums are 1, and their difference is no tensor.
        difference = cast("Tensor", rest - slopes if isinstance(slopes, Tensor) else rest)
        return difference if self._total == 1.0 else difference / self._total

    def _of_logarithms(self, student: _Side, teacher: _Side, gradient: Tensor | None, scale: float) -> Tensor:
        """Take g = q^s d, where α = 0."""
        slopes = self._of_distance(student, student, teacher)
        if gradient is not None:
            distance = teacher.log.mul_(_LN2).sub_((teacher.sum / student.sum).log_()).mul_(student.power)
            torch.mul(student.exp, slopes * scale / student.sum, out=gradient)
            gradient.addcmul_(distance, student.unit, value=-scale)
        return ((teacher.total - student.total) / self._beta - slopes) / self._total

    def _of_distance(self, of: _Side, student: _Side, teacher: _Side) -> Tensor:
        """Sum a power times d over classes; leaves log p - log q, not normalised, in the teacher's buffer."""
        distance = teacher.log.sub_(student.log)
        total = torch.linalg.vecdot(of.power, distance).unsqueeze(-1)
        shift = (student.sum / teacher.sum).log_()
        return (shift if of.power is of.exp else shift.mul_(of.total)).addcmul_(total, of.unit, value=_LN2)
