"""Distillation of relations between classes and between samples."""

import torch
from torch import Tensor

from lightning_abkd._utils import check_finite, check_positive
from lightning_abkd.functional import pearson_correlation, promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, check_logits


class DIST(DistillationLoss):
    r"""Pearson correlation of teacher and student over the classes of each sample and the samples of each class (DIST).

    Paper: Huang et al. 2022, arXiv 2205.10536.

    .. math::

        L = T^2 \Big[ \lambda_1 \Big( 1 - \frac{1}{B} \sum_{b=1}^{B} \rho(q_{b,:}, p_{b,:}) \Big)
            + \lambda_2 \Big( 1 - \frac{1}{C} \sum_{c=1}^{C} \rho(q_{:,c}, p_{:,c}) \Big) \Big]

    where:

    - q, p -> softmax(`student_logits` / T), softmax(`teacher_logits` / T), shape (B, C); ρ is
      `lightning_abkd.functional.pearson_correlation`.
    - λ₁ -> `inter_weight`: any finite number.
    - λ₂ -> `intra_weight`: any finite number.
    - T -> `temperature`: greater than 0; ABKD's experiments use 4.

    The columns couple the samples of a batch, so that micro-batches and processes change the value.

    Args:
        inter_weight: Weight of the correlation within each sample.
        intra_weight: Weight of the correlation within each class.
        temperature: T > 0.

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
        self.inter_weight = inter_weight
        self.intra_weight = intra_weight
        self.hyperparameter("temperature", temperature)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            student_logits: Shape (B, C), B at least 2.
            teacher_logits: Shape (B, C).

        Returns:
            Scalar.

        Raises:
            ValueError: If shapes do not fit, or the batch holds a single sample, which has no correlation.
        """
        check_logits(student_logits, teacher_logits, None)
        if student_logits.dim() != 2 or len(student_logits) < 2:
            raise ValueError(
                "DIST should see a batch (B, C) of at least two samples: a class over one sample has no correlation. "
                f"Found shape {tuple(student_logits.shape)}. Set drop_last or a larger batch."
            )
        q = torch.softmax(promote_to_float32(student_logits) / self.temperature, -1)
        p = torch.softmax(promote_to_float32(teacher_logits) / self.temperature, -1)
        # The probabilities of a row have the mean 1/C.
        inter = 1.0 - pearson_correlation(q, p, dim=1, mean=1.0 / q.shape[1]).mean()
        intra = 1.0 - pearson_correlation(q, p, dim=0).mean()
        return self.temperature.square() * (self.inter_weight * inter + self.intra_weight * intra)
