"""The task loss and the metrics of language models."""

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from lightning_abkd.language.data import IGNORE_INDEX
from lightning_abkd.losses import mean_cross_entropy
from lightning_abkd.metrics import (
    StudentEntropy,
    StudentPerplexity,
    TeacherAgreement,
    TeacherEntropy,
    TeacherPerplexity,
)


def token_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Compute the mean cross-entropy of the counted tokens, in float32 or wider.

    If no token counts, it is 0 with zero gradients.

    Args:
        logits: Shape (B, T, V), any floating dtype.
        labels: Shape (B, T), -100 where a token does not count.

    Example:
        >>> import torch
        >>> token_cross_entropy(torch.zeros(1, 2, 4), torch.tensor([[3, -100]])).exp()
        tensor(4.)
    """
    return mean_cross_entropy(logits, labels, IGNORE_INDEX)


def token_metrics(with_teacher: bool) -> MetricCollection:
    """Build perplexity on the labels and student entropy; with a teacher also agreement and the teacher's values.

    Example:
        >>> sorted(token_metrics(with_teacher=False))
        ['perplexity', 'student_entropy']
    """
    metrics: dict[str, Metric | MetricCollection] = {
        "perplexity": StudentPerplexity(IGNORE_INDEX),
        "student_entropy": StudentEntropy(),
    }
    if with_teacher:
        metrics |= {"agreement": TeacherAgreement(), "teacher_entropy": TeacherEntropy()}
        metrics["teacher_perplexity"] = TeacherPerplexity(IGNORE_INDEX)
    return MetricCollection(metrics)
