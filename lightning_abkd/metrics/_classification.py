"""The metrics of an evaluated classifier."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from lightning_abkd.distributed import whole
from lightning_abkd.metrics._agreement import TeacherAgreement
from lightning_abkd.metrics._concentration import ConfidenceConcentration, HardnessConcentration
from lightning_abkd.metrics._entropy import StudentEntropy, TeacherEntropy

_IGNORED = -100


def classification_metrics(classes: int, teacher: bool = False, concentration: bool = False) -> MetricCollection:
    """Build the collection of metrics of a classifier; each picks its own signals by name from what it is updated with.

    Logits may have any shape (…, C) with targets of shape (…). Positions with the target -100, or where a `mask` among
    the signals is False, do not count.

    Args:
        classes: Number of classes.
        teacher: Whether `teacher_logits` will be among the signals: adds the agreement, the teacher's entropy and its
            accuracy.
        concentration: Whether `alpha` and `beta` will be among them: adds the two concentrations of the gradient.

    Returns:
        Metrics accuracy, accuracy_top5 (above 5 classes), calibration_error (15 bins, L1), student_entropy, agreement,
        teacher_accuracy, teacher_entropy, hardness and confidence.

    Example:
        >>> import torch
        >>> metrics = classification_metrics(classes=3)
        >>> logits, labels = torch.eye(3), torch.tensor([0, 1, 1])
        >>> metrics.update(preds=logits, target=labels, student_logits=logits)
        >>> round(metrics.compute()["accuracy"].item(), 4)
        0.6667
    """
    # torchmetrics knows no task of a single class; a second one is never predicted and never the target.
    known = max(classes, 2)
    metrics: dict[str, Metric | MetricCollection] = {
        "accuracy": _Accuracy(known, average="micro", ignore_index=_IGNORED),
        "calibration_error": _CalibrationError(known, ignore_index=_IGNORED),
        "student_entropy": StudentEntropy(),
    }
    if classes > 5:
        metrics["accuracy_top5"] = _Accuracy(classes, top_k=5, average="micro", ignore_index=_IGNORED)
    if teacher:
        metrics |= {"agreement": TeacherAgreement(), "teacher_entropy": TeacherEntropy()}
        metrics["teacher_accuracy"] = _TeacherAccuracy(known, average="micro", ignore_index=_IGNORED)
    if concentration:
        metrics |= {"hardness": HardnessConcentration(), "confidence": ConfidenceConcentration()}
    # Groups are explicit: detection would merge metrics that agree on the first batch by chance.
    return MetricCollection(metrics, compute_groups=[["hardness", "confidence"]] if concentration else False)


class _Rows(NamedTuple):
    """What torchmetrics takes: predictions (N, C) and targets (N,), -100 where a position does not count."""

    preds: Tensor
    target: Tensor


def _rows(logits: Tensor, target: Tensor, mask: Tensor | None) -> _Rows:
    target = target if mask is None else target.masked_fill(~mask, _IGNORED)
    rows = whole(logits).flatten(0, -2)
    if rows.shape[-1] == 1:
        rows = torch.nn.functional.pad(rows, (0, 1), value=-torch.inf)
    return _Rows(rows, target.flatten())


def _add(update: Callable[[Tensor, Tensor], None], rows: _Rows) -> None:
    """Add rows to a metric of torchmetrics, which cannot take none."""
    if len(rows.preds):
        update(*rows)


class _Accuracy(MulticlassAccuracy):
    """Accuracy of the student at positions of any shape."""

    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch of logits (…, C), targets and mask (…)."""
        _add(super().update, _rows(preds, target, mask))


class _TeacherAccuracy(MulticlassAccuracy):
    """Accuracy of the teacher at positions of any shape."""

    def update(self, teacher_logits: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch of logits (…, C), targets and mask (…)."""
        _add(super().update, _rows(teacher_logits, target, mask))


class _CalibrationError(MulticlassCalibrationError):
    """Calibration error of the student at positions of any shape."""

    def update(self, preds: Tensor, target: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch of logits (…, C), targets and mask (…)."""
        rows = _rows(preds, target, mask)
        # torchmetrics takes logits that all lie between 0 and 1 for probabilities.
        logits = rows.preds.to(torch.promote_types(rows.preds.dtype, torch.float32))
        _add(super().update, _Rows(logits.softmax(-1), rows.target))
