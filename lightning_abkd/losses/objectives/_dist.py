"""Distillation of relations between classes and between samples."""

import torch
from torch import Tensor

from lightning_abkd.losses._base import DistillationLoss, check_finite, check_logits, check_positive
from lightning_abkd.losses._divergence import wide


class DIST(DistillationLoss):
    """Pearson correlation of teacher and student over the classes of each sample and the samples of each class (DIST).

    Huang et al. 2022, arXiv 2205.10536: T² (inter_weight · (1 - mean ρ over rows) + intra_weight · (1 - mean ρ over
    columns)) of the probabilities at temperature T. The columns couple the samples of a batch, so that micro-batches
    and processes change the value.

    Args:
        inter_weight: Weight of the correlation within each sample.
        intra_weight: Weight of the correlation within each class.
        temperature: T > 0; ABKD's experiments use 4.

    Raises:
        ValueError: If a weight is not finite or the temperature not positive.

    Example:
        >>> logits = torch.tensor([[1.0, 2.0], [3.0, 1.0]])
        >>> round(DIST()(logits, logits).item(), 4)
        0.0
    """

    temperature: Tensor

    def __init__(self, inter_weight: float = 1.0, intra_weight: float = 1.0, temperature: float = 4.0) -> None:
        check_finite("inter_weight", inter_weight)
        check_finite("intra_weight", intra_weight)
        check_positive("temperature", temperature)
        super().__init__()
        self.inter_weight, self.intra_weight = inter_weight, intra_weight
        self.hyperparameter("temperature", temperature)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Compute the loss of a batch (B, C) of logits.

        Raises:
            ValueError: If shapes do not fit, or the batch holds a single sample, which has no correlation.
        """
        check_logits(student_logits, teacher_logits, None)
        if student_logits.dim() != 2 or len(student_logits) < 2:
            raise ValueError(
                "DIST should see a batch (B, C) of at least two samples: a class over one sample has no correlation. "
                f"Found shape {tuple(student_logits.shape)}. Set drop_last or a larger batch."
            )
        q, p = (torch.softmax(wide(x) / self.temperature, -1) for x in (student_logits, teacher_logits))
        # The probabilities of a row have the mean 1/C.
        inter = 1.0 - _cosine(q - 1.0 / q.shape[1], p - 1.0 / p.shape[1], 1).mean()
        intra = 1.0 - _cosine(q - q.mean(0), p - p.mean(0), 0).mean()
        return self.temperature.square() * (self.inter_weight * inter + self.intra_weight * intra)


def _cosine(first: Tensor, second: Tensor, dim: int) -> Tensor:
    cosine: Tensor = (first * second).sum(dim) / (first.norm(dim=dim) * second.norm(dim=dim) + 1e-8)
    return cosine
