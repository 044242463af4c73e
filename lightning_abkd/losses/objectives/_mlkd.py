"""Distillation of predictions at several levels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, check_positive
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, check_logits
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL
from lightning_abkd.losses.objectives._check import check_divergence_reduction


class _Pair(NamedTuple):
    """Logits of both networks, shape (B, C)."""

    student: Tensor
    teacher: Tensor

    def at(self, temperature: float) -> "_Pair":
        """Divide both by a temperature."""
        return _Pair(*(promote_to_float32(logits) / temperature for logits in self))


class _Shares(NamedTuple):
    """The share of the samples and of the classes that are at or below the median, shape () each."""

    samples: Tensor
    classes: Tensor


class MLKD(DistillationLoss):
    r"""Predictions of two views, correlations of classes and of samples, each at several temperatures (MLKD).

    Paper: Jin et al. 2023, "Multi-Level Logit Distillation", CVPR.

    .. math::

        L = \sum_T \Big[ s_B \, D_T(\text{weak}) + D_T(\text{strong})
            + \frac{s_C}{C} \big\| P_T^\top P_T - Q_T^\top Q_T \big\|_F^2
            + \frac{s_B}{B} \big\| P_T P_T^\top - Q_T Q_T^\top \big\|_F^2 \Big]

    where:

    - T -> `temperatures`, each greater than 0; the paper uses 2 to 6.
    - D_T -> `divergence` of a view's logits divided by T.
    - P_T, Q_T -> probabilities (B, C) of teacher and student at T, of the weakly augmented view.
    - s_B, s_C -> the share of samples whose confidence is at or below the median, and of classes whose summed
      probability is; both of the teacher at T = 1. They are ½ for even numbers without ties, and a little more for odd.

    The recipe's `distillation_weight` is 0.9. Its `task_weight` is 0.2, which is 0.1 for each view, because the module
    takes the mean over both views.

    The shares are what the released masks amount to: they multiply values that are already means. The released strong
    terms at T = 2 and 6 see the weak view by mistake; here they see the strong one. The matrices couple the samples of
    a batch, so that micro-batches and processes change the value.

    Args:
        divergence: Divergence of logits divided by T, of reduction "mean". If its `scale_by_temperature` is set, its
            value is multiplied by T². None stands for `ForwardKL(scale_by_temperature=True)`.
        temperatures: The T, each above 0.

    Raises:
        ValueError: If there is no temperature or one is not positive, or the divergence's reduction is not "mean".

    Example:
        >>> weak, strong = torch.zeros(2, 3), torch.ones(2, 3)
        >>> MLKD()(weak, weak, strong, strong).item()
        0.0
    """

    def __init__(
        self, divergence: Divergence | None = None, temperatures: Sequence[float] = (4.0, 3.0, 5.0, 2.0, 6.0)
    ) -> None:
        divergence = divergence or ForwardKL(scale_by_temperature=True)
        if not temperatures:
            raise ValueError("Parameter `temperatures` should hold at least one. Found `temperatures = []`.")
        for temperature in temperatures:
            check_positive("temperatures", temperature)
        check_divergence_reduction(divergence, "mean")
        super().__init__()
        self.divergence = divergence
        self.temperatures = tuple(temperatures)

    def forward(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        student_logits_strong: Tensor,
        teacher_logits_strong: Tensor,
    ) -> Tensor:
        """Compute the loss of a batch.

        Args:
            student_logits: Of the weakly augmented view, shape (B, C).
            teacher_logits: Of the weakly augmented view, shape (B, C).
            student_logits_strong: Of the strongly augmented view, shape (B, C).
            teacher_logits_strong: Of the strongly augmented view, shape (B, C).

        Returns:
            Scalar.

        Raises:
            ValueError: If shapes do not fit each other.
        """
        weak = _Pair(student_logits, teacher_logits)
        strong = _Pair(student_logits_strong, teacher_logits_strong)
        for pair in (weak, strong):
            check_logits(pair.student, pair.teacher, None)
        shares = _shares(weak.at(1.0).teacher.detach())
        return torch.stack([self._at(temperature, weak, strong, shares) for temperature in self.temperatures]).sum()

    def _at(self, temperature: float, weak: _Pair, strong: _Pair, shares: _Shares) -> Tensor:
        """Compute the terms of one temperature."""
        factor = temperature**2 if self.divergence.scale_by_temperature else 1.0
        logits = weak.at(temperature)
        divergences = shares.samples * self.divergence(*logits) + self.divergence(*strong.at(temperature))
        q = torch.softmax(logits.student, -1)
        p = torch.softmax(logits.teacher, -1)
        value: Tensor = factor * divergences + _Correlations.apply(q, p, shares.classes, shares.samples)
        return value


def _shares(teacher_logits: Tensor) -> _Shares:
    """Compute the shares of the samples and of the classes that the released masks keep."""
    p = torch.softmax(teacher_logits, -1)
    return _Shares(_at_or_below_median(p.amax(-1)), _at_or_below_median(p.sum(0)))


def _at_or_below_median(values: Tensor) -> Tensor:
    """Compute the share of numbers (N,) that are at or below their median; of none the share is 1."""
    if not len(values):
        return values.new_ones(())
    return (values <= values.quantile(0.5)).to(values.dtype).mean()


class _Correlations(torch.autograd.Function):
    """c ‖QᵀQ - PᵀP‖²/C + b ‖QQᵀ - PPᵀ‖²/B; by symmetry the gradient needs half of the products that autograd computes.

    The weights c and b are 0-dimensional and constant.
    """

    @staticmethod
    def forward(ctx: Context, q: Tensor, p: Tensor, c: Tensor, b: Tensor) -> Tensor:
        rows, classes = q.shape
        of_classes = torch.addmm(p.T @ p, q.T, q, beta=-1.0).mul_(c / classes)
        of_samples = torch.addmm(p @ p.T, q, q.T, beta=-1.0).mul_(b / max(1, rows))
        ctx.save_for_backward(q, p, of_classes, of_samples)
        by_classes = of_classes.square().sum() * (classes / c)
        return by_classes + of_samples.square().sum() * (max(1, rows) / b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        q, p, of_classes, of_samples = ctx.saved_tensors

        def pull_back(x: Tensor, sign: float) -> Tensor:
            return torch.addmm(x @ of_classes, of_samples, x).mul_(4.0 * sign * upstream)

        to_student = pull_back(q, 1.0) if ctx.needs_input_grad[0] else None
        to_teacher = pull_back(p, -1.0) if ctx.needs_input_grad[1] else None
        return to_student, to_teacher, None, None
