"""Decoupled knowledge distillation."""

import torch
from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.losses._alpha_beta import ForwardKL
from lightning_abkd.losses._base import DistillationLoss, check_finite, check_logits
from lightning_abkd.losses._divergence import Divergence, wide


class DecoupledDistillation(DistillationLoss):
    """Target and non-target classes distilled apart (DKD), with any divergence on the non-target part.

    Zhao et al. 2022, arXiv 2203.08679: target_weight · KL(b_p‖b_q) + non_target_weight · D(p̂‖q̂) with b the pair
    (label's probability, rest) and p̂, q̂ renormalised without the label's class. With `ForwardKL` it is DKD, with
    `AlphaBetaDivergence` ABKD's AB-DKD. Temperature and T² are those of `divergence` and hold for both parts. The
    warm-up of DKD is a schedule of `non_target_weight` and `target_weight`, both live.

    Args:
        divergence: Divergence of the non-target part, of reduction "mean"; None takes `ForwardKL(4.0, True)`.
        target_weight: Weight of the target part; DKD's α.
        non_target_weight: Weight of the non-target part; DKD's β, chosen for each pair of networks.

    Raises:
        ValueError: If a weight is not finite or the divergence's reduction is not "mean".

    Example:
        >>> loss = DecoupledDistillation(non_target_weight=2.0)
        >>> loss(torch.zeros(3, 5), torch.zeros(3, 5), torch.tensor([0, 1, 4])).item()
        0.0
    """

    target_weight: Tensor
    non_target_weight: Tensor

    def __init__(
        self, divergence: Divergence | None = None, target_weight: float = 1.0, non_target_weight: float = 8.0
    ) -> None:
        check_finite("target_weight", target_weight)
        check_finite("non_target_weight", non_target_weight)
        divergence = divergence or ForwardKL(4.0, scale_by_temperature=True)
        if divergence.reduction != "mean":
            raise ValueError(
                f"Parameter `divergence` should have the reduction 'mean'. Found {divergence.reduction!r}."
            )
        super().__init__()
        self.divergence = divergence
        self.hyperparameter("target_weight", target_weight)
        self.hyperparameter("non_target_weight", non_target_weight)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            student_logits: Shape (B, C).
            teacher_logits: Shape (B, C).
            labels: Class indices, shape (B,).

        Returns:
            Scalar.

        Raises:
            ValueError: If shapes do not fit each other.
        """
        check_logits(student_logits, teacher_logits, None)
        if labels.shape != student_logits.shape[:-1]:
            expected, found = tuple(student_logits.shape[:-1]), tuple(labels.shape)
            raise ValueError(f"Parameter `labels` should have shape {expected}. Found {found}.")
        target = torch.nn.functional.one_hot(labels, student_logits.shape[-1]).bool()
        temperature = self.divergence.temperature
        pairs = (_pair(wide(x) / temperature, target) for x in (teacher_logits, student_logits))
        binary = functional.forward_kl(*pairs).mean()
        if self.divergence.scale_by_temperature:
            binary = binary * temperature.square()
        rest = (x[~target].reshape(*labels.shape, -1) for x in (student_logits, teacher_logits))
        loss: Tensor = self.target_weight * binary + self.non_target_weight * self.divergence(*rest)
        return loss


def _pair(logits: Tensor, target: Tensor) -> Tensor:
    """Compute the log-probabilities (B, 2) of the label's class and of all others."""
    log_p = torch.log_softmax(logits, -1)
    rest = log_p.masked_fill(target, -torch.inf).logsumexp(-1)
    return torch.stack([log_p[target].view_as(rest), rest], -1)
