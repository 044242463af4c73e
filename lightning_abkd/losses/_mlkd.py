"""Distillation of predictions at several levels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lightning_abkd.losses._alpha_beta import ForwardKL
from lightning_abkd.losses._base import DistillationLoss, check_logits, check_positive
from lightning_abkd.losses._divergence import Divergence, wide


class MultiLevelDistillation(DistillationLoss):
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
        >>> MultiLevelDistillation()(weak, weak, strong, strong).item()
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
        samples, classes = p.shape
        of_classes = (p.T @ p - q.T @ q).square().sum() / classes
        of_samples = (p @ p.T - q @ q.T).square().sum() / samples
        value: Tensor = factor * (0.5 * of_weak + of_strong) + 0.5 * (of_classes + of_samples)
        return value
