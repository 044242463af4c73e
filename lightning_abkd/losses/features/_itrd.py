"""Distillation of the information in features."""

from torch import Tensor, nn

from lightning_abkd.losses._base import DistillationLoss, check_finite, check_positive
from lightning_abkd.losses._divergence import wide
from lightning_abkd.losses.features._check import check_features


class ITRD(DistillationLoss):
    r"""Correlation and mutual information of student's and teacher's features (ITRD).

    Miles et al. 2022, arXiv 2112.00459: correlation_weight · log₂ Σ_j |c_j - 1|^{2α} with c_j = Σ_b s_bj t_bj / B the
    cross-correlation of feature j, standardised over the batch, plus mutual_weight · Σ (G_s² - G_st²) with G_s and G_t
    the Gram matrices of the samples' normalised features, G_st = G_s ⊙ G_t, and G_s, G_st divided by their traces.

    The first term goes through a trained linear map from the student's to the teacher's size, the second one only where
    the sizes differ. Both couple the samples of a batch, so that micro-batches and processes change the value.

    Args:
        student_dim: Size of the student's features.
        teacher_dim: Size of the teacher's features.
        alpha: α > 0 of the correlation; 1.5 in ABKD, 1.01 in the authors' recipe for CIFAR-100.
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
        for name, value in {"student_dim": student_dim, "teacher_dim": teacher_dim, "alpha": alpha}.items():
            check_positive(name, value)
        check_finite("correlation_weight", correlation_weight)
        check_finite("mutual_weight", mutual_weight)
        super().__init__()
        self.alpha, self.correlation_weight, self.mutual_weight = alpha, correlation_weight, mutual_weight
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
        embedded = wide(self.embed(student_features.to(self.embed.weight.dtype)))
        teacher = wide(teacher_features)
        student = wide(student_features) if self.embed.in_features == self.embed.out_features else embedded
        correlation = self.correlation_weight * self._correlation(embedded, teacher)
        return correlation + self.mutual_weight * _mutual_information(student, teacher)

    def _correlation(self, student: Tensor, teacher: Tensor) -> Tensor:
        correlation = (_standardised(student) * _standardised(teacher)).mean(0)
        return (correlation - 1.0).square().pow(self.alpha).sum().log2()


def _standardised(features: Tensor) -> Tensor:
    # The floor gives a feature that is the same for all samples a gradient, 0, where that of the root is infinite.
    return (features - features.mean(0)) / features.var(0).clamp(min=1e-14).sqrt()


def _mutual_information(student: Tensor, teacher: Tensor) -> Tensor:
    student, teacher = (nn.functional.normalize(x) for x in (student, teacher))
    gram = student @ student.T
    joint = gram * (teacher @ teacher.T)
    return (gram / gram.trace()).square().sum() - (joint / joint.trace()).square().sum()
