"""The terms of the loss of a batch, and how many positions each of them counts."""

import functools
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn

import lightning_abkd.training._checks as checks
from lightning_abkd.distributed import is_sharded, most_probable
from lightning_abkd.losses import DistillationLoss, loss_terms, mean_cross_entropy
from lightning_abkd.training._labels import IGNORED, read_labels, target_of, with_ignored

Terms = dict[str, tuple[float | Tensor, Tensor]]


class BatchLosses(NamedTuple):
    """The named tensors of a batch, and each term of its loss."""

    signals: dict[str, Tensor]
    terms: Terms


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
    """Compute the mean cross-entropy of the student's logits over counted positions and views.

    Labels are class indices or probabilities. If no position counts, it is 0 with zero gradients.
    """
    checks.check_labelled(signals)
    labels = read_labels(signals["labels"], signals["student_logits"])
    views = [signals[name] for name in ("student_logits", "student_logits_strong") if name in signals]
    if any(is_sharded(view) for view in views):
        return _sharded_cross_entropy(views, labels, signals.get("mask"))
    logits = torch.cat([view.flatten(0, -2) for view in views])
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if labels.is_floating_point():
        values = nn.functional.cross_entropy(logits, labels.flatten(0, -2).repeat(len(views), 1), reduction="none")
        return _mean(values, _mask(signals, len(views)))
    target = with_ignored(labels, signals.get("mask")).flatten().repeat(len(views))
    total = nn.functional.cross_entropy(logits, target, ignore_index=IGNORED, reduction="sum")
    return total / (target != IGNORED).sum().clamp(min=1)


def _sharded_cross_entropy(views: list[Tensor], labels: Tensor, mask: Tensor | None) -> Tensor:
    """Compute the mean over views that have the same labels, of logits that lie on several processes."""
    if labels.is_floating_point():
        raise ValueError(
            "Labels should be class indices where logits lie on several processes (DTensors). Found probabilities of "
            f"shape {tuple(labels.shape)}. Leave out mixup, cutmix and smoothing, or gather the logits (`full_tensor`)."
        )
    target = with_ignored(labels, mask)
    return torch.stack([mean_cross_entropy(view, target, IGNORED) for view in views]).mean()


def _mask(signals: dict[str, Tensor], views: int) -> Tensor | None:
    return signals["mask"].flatten().repeat(views) if "mask" in signals else None


def _mean(values: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return values.sum() / max(1, values.numel())
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def counted(signals: dict[str, Tensor]) -> int | Tensor:
    """Count the positions of a batch: those of its mask, or all; a number where nothing needs to be read."""
    if "mask" in signals:
        return signals["mask"].sum()
    return signals["student_logits"].shape[:-1].numel()


def counted_labels(signals: dict[str, Tensor]) -> int | Tensor:
    """Count the positions of a batch that have a label, among those that count."""
    labels = signals.get("labels")
    if "mask" in signals or labels is None or labels.is_floating_point():
        return counted(signals)
    return (labels != IGNORED).sum()


def term_counts(signals: dict[str, Tensor], names: Iterable[str]) -> dict[str, int | Tensor]:
    """Return how many positions each term is the mean of: the task loss of those with a label, the others of all."""
    return {name: counted_labels(signals) if name == "task_loss" else counted(signals) for name in names}


def step_count(signals: dict[str, Tensor], terms: Iterable[str], ignored: bool) -> int | Tensor:
    """Return how many positions the loss of a micro-batch is the mean of.

    Args:
        signals: Named tensors of the micro-batch.
        terms: Names of the terms of the loss.
        ignored: Whether some labels do not count. They do not count in the task loss; where there are other terms too,
            these say how many positions count.
    """
    return counted_labels(signals) if ignored and set(terms) == {"task_loss"} else counted(signals)


def accuracy(signals: dict[str, Tensor]) -> dict[str, Tensor]:
    """Compute the student's accuracy as {name: value}, or nothing without labels or under a mask.

    As in evaluations, of probabilities the largest is the right class, and a label of -100 does not count. This waits
    for the device. The value is on the CPU, in float64.
    """
    if "labels" not in signals or "mask" in signals:
        return {}
    target = target_of(signals)
    right = most_probable(signals["student_logits"]).eq(target).sum()
    counts = torch.stack([right, (target != IGNORED).sum()]).cpu().to(torch.float64)
    return {"accuracy": counts[0] / counts[1]} if counts[1] else {}
