"""Transformed teacher matching."""

import math

import torch
from torch import Tensor

from lightning_abkd.losses._base import DistillationLoss, check_positive
from lightning_abkd.losses._divergence import Divergence, wide
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL


class TTM(DistillationLoss):
    """A divergence from the teacher's powers p^γ / Σ p^γ to the student without temperature (TTM).

    Zheng & Yang 2024, arXiv 2402.11148, with forward KL; γ is an inverse temperature of the teacher alone.

    Args:
        divergence: Divergence between the transformed teacher and the student; None takes `ForwardKL()`.
        power: γ > 0; the paper uses 0.1 to 0.2.

    Raises:
        ValueError: If `power` is not finite and positive.

    Example:
        >>> TTM(power=0.5)(torch.tensor([[1.0, 2.0]]), torch.tensor([[2.0, 4.0]])).item()
        0.0
    """

    power: Tensor

    def __init__(self, divergence: Divergence | None = None, power: float = 0.1) -> None:
        check_positive("power", power)
        super().__init__()
        self.divergence = divergence or ForwardKL()
        self.hyperparameter("power", power)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of a batch; shapes and errors as for `Divergence`."""
        value: Tensor = self.divergence(student_logits, self.power * wide(teacher_logits), mask)
        return value


class WTTM(TTM):
    """TTM with each sample weighted by its Σ p^γ, which is larger the flatter the teacher is (WTTM).

    Zheng & Yang 2024, arXiv 2402.11148. Arguments as for `TTM`; the divergence needs the
    reduction "none".

    Raises:
        ValueError: If the divergence's reduction is not "none".
    """

    def __init__(self, divergence: Divergence | None = None, power: float = 0.1) -> None:
        divergence = divergence or ForwardKL(reduction="none")
        if divergence.reduction != "none":
            raise ValueError(
                f"Parameter `divergence` should have the reduction 'none': each sample has its own weight. "
                f"Found {divergence.reduction!r}."
            )
        super().__init__(divergence, power)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the mean over counted positions; shapes and errors as for `Divergence`."""
        values = super().forward(student_logits, teacher_logits, mask)
        count = values.numel() if mask is None else mask.sum().clamp(min=1)
        with torch.no_grad():
            # e^x as 2^(x / log 2), which torch is faster at on a processor.
            weights = (torch.log_softmax(wide(teacher_logits), -1) * (self.power / math.log(2.0))).exp2().sum(-1)
        return (weights / count).flatten().dot(values.flatten())
