"""Distillation of the information in features."""

from torch import Tensor, nn

from lightning_abkd._utils import check_finite, check_positive
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.losses._base import DistillationLoss
from lightning_abkd.losses.features._check import check_features


class ITRD(DistillationLoss):
    r"""Correlation and mutual information of student's and teacher's features (ITRD).

    Paper: Miles et al. 2022, arXiv 2112.00459.

    .. math::

        L = \lambda_1 \log_2 \sum_j |c_j - 1|^{2\alpha}
            + \lambda_2 \sum_{ab} \big[ (G_s)_{ab}^2 - (G_{st})_{ab}^2 \big], \qquad
        c_j = \frac{1}{B} \sum_{b=1}^{B} s_{bj} t_{bj}

    where:

    - s, t -> `student_features`, `teacher_features` of `forward`, each feature j standardised over the batch
      (with the variance of denominator B - 1).
    - G_s, G_t -> Gram matrices (B, B) of the samples' normalised features, :math:`G_{st} = G_s \odot G_t`; G_s and G_st
      are divided by their traces.
    - α -> `alpha`: greater than 0; 1.5 in ABKD, 1.01 in the authors' recipe for CIFAR-100.
    - λ₁ -> `correlation_weight`: any finite number; 2 in ABKD and in the authors' recipe.
    - λ₂ -> `mutual_weight`: any finite number; 1 in both.

    In the first term a trained linear map brings the student's features to the teacher's size. In the second term it
    does so only if the sizes differ. Both terms couple the samples of a batch, so that micro-batches and processes
    change the value.

    Args:
        student_dim: Size of the student's features.
        teacher_dim: Size of the teacher's features.
        alpha: α > 0 of the correlation.
        correlation_weight: Weight of the correlation.
        mutual_weight: Weight of the mutual information.

    Raises:
        ValueError: If a size or `alpha` is not positive, or a weight not finite.

    Example:
        >>> import torch
        >>> features = torch.eye(4)
        >>> ITRD(4, 4, correlation_weight=0.0)(features, features).item()
        0.0
    """

    def __init__(
        self,
        student_dim: int,
        teacher_dim: int,
        alpha: float = 1.5,
        correlation_weight: float = 2.0,
        mutual_weight: float = 1.0,
    ) -> None:
        check_positive("student_dim", student_dim)
        check_positive("teacher_dim", teacher_dim)
        check_positive("alpha", alpha)
        check_finite("correlation_weight", correlation_weight)
        check_finite("mutual_weight", mutual_weight)
        super().__init__()
        self.alpha = alpha
        self.correlation_weight = correlation_weight
        self.mutual_weight = mutual_weight
        self.embed = nn.Linear(student_dim, teacher_dim)

    def forward(self, student_features: Tensor, teacher_features: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            student_features: Shape (B, student_dim), B at least 2.
            teacher_features: Shape (B, teacher_dim).

        Returns:
            Scalar.

        Raises:
            ValueError: If a shape does not fit, or the batch holds a single sample, which has no correlation.
        """
        check_features(student_features, "student", self.embed.in_features)
        check_features(teacher_features, "teacher", self.embed.out_features)
        if len(student_features) < 2:
            raise ValueError(
                "ITRD should see at least two samples: a feature of one sample has no correlation. "
                "Found a batch of 1. Set drop_last or a larger batch."
            )
        embedded = promote_to_float32(self.embed(student_features.to(self.embed.weight.dtype)))
        teacher = promote_to_float32(teacher_features)
        same_size = self.embed.in_features == self.embed.out_features
        student = promote_to_float32(student_features) if same_size else embedded
        correlation = self.correlation_weight * self._correlation(embedded, teacher)
        return correlation + self.mutual_weight * _mutual_information(student, teacher)

    def _correlation(self, student: Tensor, teacher: Tensor) -> Tensor:
        correlation = (_standardise_over_batch(student) * _standardise_over_batch(teacher)).mean(0)
        return (correlation - 1.0).square().pow(self.alpha).sum().log2()


def _standardise_over_batch(features: Tensor) -> Tensor:
    """Bring each feature to mean 0 and variance 1 over the samples."""
    # Without the floor, a feature that is the same for all samples would give the root an infinite gradient.
    return (features - features.mean(0)) / features.var(0).clamp(min=1e-14).sqrt()


def _mutual_information(student: Tensor, teacher: Tensor) -> Tensor:
    student = nn.functional.normalize(student)
    teacher = nn.functional.normalize(teacher)
    gram = student @ student.T
    joint = gram * (teacher @ teacher.T)
    return (gram / gram.trace()).square().sum() - (joint / joint.trace()).square().sum()
