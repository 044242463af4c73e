r"""The α-β-divergence of rows from sums of powers, for rows that are far enough apart.

With M = p^α q^β and s = α + β, the row sums of q^s, M and p^s give the divergence, and q^s and M its gradient:

.. math::

    G = \sum g = \frac{\sum M - \sum q^s}{\alpha}, \qquad
    D = \frac{1}{s} \Big( \frac{\sum p^s - \sum M}{\beta} - G \Big)

Where α = 0 or β = 0 a sum of q^s d or p^s d takes the place of the quotient, d = log p - log q. No softmax is stored:
powers are taken of exp(z/T - max) and normalised per row.
"""

import math
from typing import cast

import torch
from torch import Tensor

from lightning_abkd.kernels._softmax_exponents import softmax_exponents

_LN2 = math.log(2.0)
# Dividing by a smaller exponent loses digits of the gradient. With a smaller total the powers spread over all classes.
_SMALLEST_ALPHA = 0.1
_SMALLEST_BETA = 1 / 32
_SMALLEST_TOTAL = 0.5
# Measured for 2 to 50,257 classes and logits of scale 0.3 to 30: rounding changes a row's value by at most
# 6 ε (1/α + 1/β)/s · (Σ p^s + Σ q^s)/2. Values this many times larger are right to 1e-5 each, 1e-4 on average.
_APART = 0.06
_APART_ON_AVERAGE = 0.006


class _Side:
    """The rows of one network: the binary logarithm of exp(z/T - max), its power s, and their sums.

    Attributes:
        log: Binary logarithm of exp(z/T - max), shape (N, V).
        exp: exp(z/T - max), shape (N, V).
        power: Its power s, shape (N, V); `exp` itself for probabilities, s = 1.
        sum: Σ exp(z/T - max), shape (N, 1).
        unit: Factor that normalises `power`, shape (N, 1).
        total: Sum of the normalised powers, shape (N, 1); exactly 1 for probabilities.
    """

    def __init__(self, logits: Tensor, temperature: float, total: float, buffers: list[Tensor]) -> None:
        self.log = softmax_exponents(logits, temperature, buffers[0])
        self.exp = torch.exp2(self.log, out=buffers[1])
        self.power = self.exp
        self.sum = self.exp.sum(-1, keepdim=True)
        self.unit = self.sum.reciprocal()
        self.total: Tensor | float = 1.0
        if total != 1.0:
            self.power = torch.mul(self.log, total, out=buffers[2]).exp2_()
            self.unit = self.sum.pow(-total)
            self.total = self.power.sum(-1, keepdim=True).mul_(self.unit)


class AlphaBetaSums:
    """The α-β-divergence of rows of logits and its gradient, from row sums of powers.

    This is faster than term by term, and as accurate unless a row's divergence is small: the sums cancel as p → q. For
    rows that are too close to each other the result is None. The gradient does not cancel.

    Args:
        alpha: α, see `suits`.
        beta: β.
        temperature: T > 0.
        each: True if each row's value should be accurate to 1e-5 of itself; False if only the mean of all rows should
            be, to 1e-4 at worst.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> gradient = torch.empty(1, 2)
        >>> value = AlphaBetaSums(alpha=1.0, beta=0.0)(student, teacher, gradient)
        >>> round(value.item(), 4), [round(x, 4) for x in gradient[0].tolist()]
        (0.4338, [0.3808, -0.3808])
    """

    def __init__(self, alpha: float, beta: float, temperature: float = 1.0, each: bool = False) -> None:
        self._alpha = alpha
        self._beta = beta
        self._temperature = temperature
        # α and β that were rounded to float32 add up to 1 only within that rounding.
        self._total = 1.0 if abs(alpha + beta - 1.0) <= 1e-7 else alpha + beta
        self._each = each
        scale = ((1.0 / alpha if alpha else 1.0) + (1.0 / beta if beta else 1.0)) / self._total
        self._bound = 0.5 * scale * (_APART if each else _APART_ON_AVERAGE)
        self._buffers: list[Tensor] = []

    @staticmethod
    def suits(alpha: float, beta: float) -> bool:
        """Return True if the sums are accurate at (α, β): neither is negative or so small that its quotient cancels."""
        alpha_suits = alpha == 0.0 or alpha >= _SMALLEST_ALPHA
        beta_suits = beta == 0.0 or beta >= _SMALLEST_BETA
        return alpha_suits and beta_suits and alpha + beta >= _SMALLEST_TOTAL

    def __call__(
        self, student_logits: Tensor, teacher_logits: Tensor, gradient: Tensor | None = None, scale: float = 1.0
    ) -> Tensor | None:
        """Compute the divergence of each row and write its gradient.

        Args:
            student_logits: float32, shape (N, V).
            teacher_logits: float32, shape (N, V).
            gradient: float32, shape (N, V), overwritten with the gradient with respect to the student's logits; None
                for none.
            scale: Factor of the gradient.

        Returns:
            Values, shape (N,), or None where rows are too close to each other, infinite or NaN.
        """
        if not self._buffers or self._buffers[0].shape != student_logits.shape:
            self._buffers = list(student_logits.new_empty((7, *student_logits.shape)))
        student = _Side(student_logits, self._temperature, self._total, self._buffers[:3])
        teacher = _Side(teacher_logits, self._temperature, self._total, self._buffers[3:6])
        compute = self._by_quotients if self._alpha else self._by_logarithms
        values = compute(student, teacher, gradient, scale / self._temperature)
        if not self._are_apart(values, student, teacher):
            return None
        return values.squeeze(-1).clamp_(min=0.0)

    def _are_apart(self, values: Tensor, student: _Side, teacher: _Side) -> bool:
        """Return True if the values are finite and so large that the rounding of the sums is small beside them."""
        bound = self._bound * (student.total + teacher.total)
        if isinstance(bound, Tensor):
            values = values - bound
            bound = 0.0
        smallest = values.amin() if self._each else values.mean()
        return bound <= smallest.item() < math.inf

    def _by_quotients(self, student: _Side, teacher: _Side, gradient: Tensor | None, scale: float) -> Tensor:
        """Compute values and gradient from g = (M - q^s)/α."""
        mixed, unit, total = self._mix(student, teacher, gradient)
        slopes = (total - student.total) / self._alpha
        if gradient is not None:
            torch.mul(mixed, unit * (-scale / self._alpha), out=gradient)
            self._add_student(student, slopes, gradient, scale)
        rest = (teacher.total - total) / self._beta if self._beta else self._sum_distances(teacher, student, teacher)
        # If the mixed power is itself a probability, both sums are the float 1 and their difference is not a tensor.
        difference = cast("Tensor", rest - slopes if isinstance(slopes, Tensor) else rest)
        return difference if self._total == 1.0 else difference / self._total

    def _mix(self, student: _Side, teacher: _Side, gradient: Tensor | None) -> tuple[Tensor, Tensor, Tensor | float]:
        """Compute M not normalised, the factor that normalises it, and its normalised sum; M = p^s at β = 0."""
        if not self._beta:
            return teacher.power, teacher.unit, teacher.total
        out = self._buffers[6] if gradient is None else gradient
        mixed = torch.mul(teacher.log, self._alpha, out=out).add_(student.log, alpha=self._beta).exp2_()
        unit = teacher.sum.pow(-self._alpha).mul_(student.sum.pow(-self._beta))
        return mixed, unit, mixed.sum(-1, keepdim=True).mul_(unit)

    def _add_student(self, student: _Side, slopes: Tensor | float, gradient: Tensor, scale: float) -> None:
        """Add q G + q^s/α to the gradient, in one step where q^s is q."""
        if student.power is student.exp:
            gradient.addcmul_(student.exp, student.unit * (slopes + 1.0 / self._alpha), value=scale)
        else:
            gradient.addcmul_(student.exp, slopes / student.sum, value=scale)
            gradient.addcmul_(student.power, student.unit, value=scale / self._alpha)

    def _by_logarithms(self, student: _Side, teacher: _Side, gradient: Tensor | None, scale: float) -> Tensor:
        """Compute values and gradient from g = q^s d, where α = 0."""
        slopes = self._sum_distances(student, student, teacher)
        if gradient is not None:
            distance = teacher.log.mul_(_LN2).sub_((teacher.sum / student.sum).log_()).mul_(student.power)
            torch.mul(student.exp, slopes * scale / student.sum, out=gradient)
            gradient.addcmul_(distance, student.unit, value=-scale)
        return ((teacher.total - student.total) / self._beta - slopes) / self._total

    def _sum_distances(self, weights: _Side, student: _Side, teacher: _Side) -> Tensor:
        """Sum the powers of one side times d over classes; leave d, not normalised, in the teacher's buffer."""
        distance = teacher.log.sub_(student.log)
        total = torch.linalg.vecdot(weights.power, distance).unsqueeze(-1)
        shift = (student.sum / teacher.sum).log_()
        if weights.power is not weights.exp:
            shift.mul_(weights.total)
        return shift.addcmul_(total, weights.unit, value=_LN2)
