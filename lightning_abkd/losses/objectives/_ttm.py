"""Transformed teacher matching."""

import math

import torch
from torch import Tensor

from lightning_abkd._utils import check_positive
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, check_whole, without_masked
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL
from lightning_abkd.losses.objectives._check import check_divergence_reduction


class TTM(DistillationLoss):
    r"""A divergence of the student, without a temperature, from powers of the teacher's probabilities (TTM).

    Paper: Zheng & Yang 2024, arXiv 2402.11148, with forward KL.

    .. math::

        L = D(p^{(\gamma)} \| q), \qquad p^{(\gamma)}_c = \frac{p_c^\gamma}{\sum_k p_k^\gamma}

    where:

    - q, p -> softmax of `student_logits`, `teacher_logits` of `forward`.
    - D -> `divergence`.
    - γ -> `power`: greater than 0, an inverse temperature of the teacher alone; the paper uses 0.1 to 0.2.

    Args:
        divergence: Divergence of the student from the transformed teacher; None stands for `ForwardKL()`.
        power: γ > 0; live.

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
        """Compute the loss of a batch; shapes and errors as in `Divergence`."""
        value: Tensor = self.divergence(student_logits, self.power * promote_to_float32(teacher_logits), mask)
        return value


class WTTM(TTM):
    r"""TTM with a weight per sample, which is larger where the teacher's distribution is flatter (WTTM).

    Paper: Zheng & Yang 2024, arXiv 2402.11148.

    .. math::

        L = \frac{1}{B} \sum_{b=1}^{B} \Big( \sum_c p_{bc}^\gamma \Big) D(p_b^{(\gamma)} \| q_b)

    where:

    - q, p -> softmax of `student_logits`, `teacher_logits` of `forward`, for the B counted samples b.
    - D -> `divergence`; :math:`p^{(\gamma)}` as in `TTM`.
    - γ -> `power`: greater than 0; the paper uses 0.1 to 0.2.

    Args:
        divergence: Divergence of reduction "none"; None stands for `ForwardKL(reduction="none")`.
        power: γ > 0; live.

    Raises:
        ValueError: If the divergence's reduction is not "none", or `power` is not finite and positive.

    Example:
        >>> round(WTTM(power=1.0)(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.4338
    """

    def __init__(self, divergence: Divergence | None = None, power: float = 0.1) -> None:
        divergence = divergence or ForwardKL(reduction="none")
        check_divergence_reduction(divergence, "none", "Each sample has its own weight.")
        super().__init__(divergence, power)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the mean over counted positions; shapes and errors as in `Divergence`."""
        check_whole("WTTM", {"student_logits": student_logits, "teacher_logits": teacher_logits})
        values = super().forward(student_logits, teacher_logits, mask)
        count = values.numel() if mask is None else mask.sum().clamp(min=1)
        with torch.no_grad():
            # e^x as 2^(x / log 2), which torch computes faster on a CPU.
            log_p = torch.log_softmax(without_masked(promote_to_float32(teacher_logits), mask), -1)
            weights = (log_p * (self.power / math.log(2.0))).exp2().sum(-1)
        return (weights / count).flatten().dot(values.flatten())
