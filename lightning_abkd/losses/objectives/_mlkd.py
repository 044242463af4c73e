"""Distillation of predictions at several levels."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd.losses._base import DistillationLoss, check_logits, check_positive
from lightning_abkd.losses._divergence import Divergence, wide
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Correlations(torch.autograd.Function):
    """‖QᵀQ - PᵀP‖²/C + ‖QQᵀ - PPᵀ‖²/B; its gradient needs half the products that autograd takes: all are symmetric."""

    @staticmethod
    def forward(ctx: _Context, q: Tensor, p: Tensor) -> Tensor:
        samples, classes = q.shape
        of_classes = torch.addmm(p.T @ p, q.T, q, beta=-1.0)
        of_samples = torch.addmm(p @ p.T, q, q.T, beta=-1.0)
        ctx.save_for_backward(q, p, of_classes, of_samples)
        return of_classes.square().sum() / classes + of_samples.square().sum() / samples

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        q, p, of_classes, of_samples = ctx.saved_tensors
        samples, classes = q.shape

        def pull(x: Tensor, sign: float) -> Tensor:
            slope = torch.addmm(x @ of_classes, of_samples, x, beta=1.0 / classes, alpha=1.0 / samples)
            return slope.mul_(4.0 * sign * upstream)

        return tuple(
            pull(x, sign) if needed else None
            for x, sign, needed in zip((q, p), (1.0, -1.0), ctx.needs_input_grad, strict=True)
        )


class MLKD(DistillationLoss):
    """Predictions of two views, correlations of classes and of samples, each at several temperatures (MLKD).

    Jin et al. 2023, CVPR: Σ_T [½ D_T(weak) + D_T(strong) + ½ ‖PᵀP - QᵀQ‖² / C + ½ ‖PPᵀ - QQᵀ‖² / B] with D_T a
    divergence at temperature T and P, Q the probabilities (B, C) of the weak view at T. The recipe's
    `distillation_weight` is 0.9 and its `task_weight` 0.2: 0.1 for each view, of which the module takes the mean.

    The ½ stand for the released masks: multiplied onto values that are means already, they act as the share of samples
    and of classes at or below a median. The released strong terms at T = 2 and 6 see the weak view by mistake; here
    they see the strong one. The matrices couple the samples of a batch, so that micro-batches and processes change the
    value.

    Args:
        divergence: Divergence of logits divided by T, of reduction "mean"; multiplied by T² where it is scaled by its
            own temperature. None takes `ForwardKL(scale_by_temperature=True)`.
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
        if divergence.reduction != "mean":
            raise ValueError(
                f"Parameter `divergence` should have the reduction 'mean'. Found {divergence.reduction!r}."
            )
        super().__init__()
        self.divergence, self.temperatures = divergence, tuple(temperatures)

    def forward(
        self,
        student_logits: Tensor,
        teacher_logits: Tensor,
        student_logits_strong: Tensor,
        teacher_logits_strong: Tensor,
    ) -> Tensor:
        """Compute the loss of a batch; all logits have shape (B, C).

        Raises:
            ValueError: If shapes do not fit each other.
        """
        weak, strong = (student_logits, teacher_logits), (student_logits_strong, teacher_logits_strong)
        for pair in (weak, strong):
            check_logits(*pair, None)
        return torch.stack([self._at(temperature, weak, strong) for temperature in self.temperatures]).sum()

    def _at(self, temperature: float, weak: tuple[Tensor, Tensor], strong: tuple[Tensor, Tensor]) -> Tensor:
        factor = temperature**2 if self.divergence.scale_by_temperature else 1.0
        of_weak, of_strong = (self.divergence(*(wide(x) / temperature for x in pair)) for pair in (weak, strong))
        q, p = (torch.softmax(wide(x) / temperature, -1) for x in weak)
        value: Tensor = factor * (0.5 * of_weak + of_strong) + 0.5 * _Correlations.apply(q, p)
        return value
