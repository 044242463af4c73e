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


class MLKD(DistillationLoss):
    r"""Predictions of two views, correlations of classes and of samples, each at several temperatures (MLKD).

    Paper: Jin et al. 2023, "Multi-Level Logit Distillation", CVPR.

    .. math::

        L = \sum_T \Big[ \tfrac{1}{2} D_T(\text{weak}) + D_T(\text{strong})
            + \frac{1}{2C} \big\| P_T^\top P_T - Q_T^\top Q_T \big\|_F^2
            + \frac{1}{2B} \big\| P_T P_T^\top - Q_T Q_T^\top \big\|_F^2 \Big]

    where:

    - T -> `temperatures`, each greater than 0; the paper uses 2 to 6.
    - D_T -> `divergence` of a view's logits divided by T.
    - P_T, Q_T -> probabilities (B, C) of teacher and student at T, of the weakly augmented view.

    The recipe's `distillation_weight` is 0.9. Its `task_weight` is 0.2, which is 0.1 for each view, because the module
    takes the mean over both views.

    The factors ½ replace the released masks, which multiply values that are already means and so only scale them by the
    share of samples and of classes at or below the median. The released strong terms at T = 2 and 6 see the weak view
    by mistake; here they see the strong one. The matrices couple the samples of a batch, so that micro-batches and
    processes change the value.

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
        return torch.stack([self._at(temperature, weak, strong) for temperature in self.temperatures]).sum()

    def _at(self, temperature: float, weak: _Pair, strong: _Pair) -> Tensor:
        """Compute the terms of one temperature."""
        factor = temperature**2 if self.divergence.scale_by_temperature else 1.0
        divergences = 0.5 * self.divergence(*weak.at(temperature)) + self.divergence(*strong.at(temperature))
        logits = weak.at(temperature)
        q = torch.softmax(logits.student, -1)
        p = torch.softmax(logits.teacher, -1)
        value: Tensor = factor * divergences + 0.5 * _Correlations.apply(q, p)
        return value


class _Correlations(torch.autograd.Function):
    """‖QᵀQ - PᵀP‖²/C + ‖QQᵀ - PPᵀ‖²/B; by symmetry the gradient needs half of the products that autograd computes."""

    @staticmethod
    def forward(ctx: Context, q: Tensor, p: Tensor) -> Tensor:
        of_classes = torch.addmm(p.T @ p, q.T, q, beta=-1.0)
        of_samples = torch.addmm(p @ p.T, q, q.T, beta=-1.0)
        ctx.save_for_backward(q, p, of_classes, of_samples)
        return of_classes.square().sum() / q.shape[1] + of_samples.square().sum() / q.shape[0]

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        q, p, of_classes, of_samples = ctx.saved_tensors

        def pull_back(x: Tensor, sign: float) -> Tensor:
            products = x @ of_classes
            slope = torch.addmm(products, of_samples, x, beta=1.0 / x.shape[1], alpha=1.0 / x.shape[0])
            return slope.mul_(4.0 * sign * upstream)

        to_student = pull_back(q, 1.0) if ctx.needs_input_grad[0] else None
        return to_student, pull_back(p, -1.0) if ctx.needs_input_grad[1] else None
