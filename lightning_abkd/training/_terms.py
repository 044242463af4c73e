"""The terms of the loss of a batch."""

import functools

import torch
from torch import Tensor, nn

import lightning_abkd.training._checks as checks
from lightning_abkd.losses import DistillationLoss, loss_terms

Terms = dict[str, tuple[float | Tensor, Tensor]]


def distillation_terms(
    loss: DistillationLoss | None, weight: float, signals: dict[str, Tensor], training: bool
) -> Terms:
    """Compute name, weight and value of each term of a distillation loss.

    In training a missing signal is an error. An evaluation leaves out the terms whose signals are missing, since some
    of them only a teacher or a training batch provides.
    """
    if loss is None:
        return {}
    if training:
        checks.check_signals(loss, signals)
    return {name: (weight * factor, value) for name, (factor, value) in loss_terms(loss, signals).items()}


def weighted_sum(terms: Terms) -> Tensor:
    """Add up the weighted terms, without a multiplication where the weight is the number 1."""
    plain = (int, float)
    values = [x if isinstance(weight, plain) and weight == 1 else weight * x for weight, x in terms.values()]
    return functools.reduce(torch.add, values)


def label_cross_entropy(signals: dict[str, Tensor]) -> Tensor:
    """Compute the mean cross-entropy of the student's logits over counted positions and views."""
    checks.check_labelled(signals)
    views = [signals[name] for name in ("student_logits", "student_logits_strong") if name in signals]
    logits = torch.cat([view.flatten(0, -2) for view in views])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return nn.functional.cross_entropy(logits, signals["labels"].flatten().repeat(len(views)))


def accuracy(signals: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the student's accuracy as {name: value}, or nothing unless every position has a label."""
    if "labels" not in signals or "mask" in signals:
        return {}
    return {"accuracy": signals["student_logits"].argmax(-1).eq(signals["labels"]).float().mean()}
