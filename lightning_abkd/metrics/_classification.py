"""The metrics of an evaluated classifier."""

from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from lightning_abkd.metrics._agreement import TeacherAgreement
from lightning_abkd.metrics._concentration import ConfidenceConcentration, HardnessConcentration
from lightning_abkd.metrics._entropy import StudentEntropy, TeacherEntropy


def classification_metrics(classes: int, teacher: bool = False, concentration: bool = False) -> MetricCollection:
    """Build the collection of metrics of a classifier; each picks its own signals by name from what it is updated with.

    Args:
        classes: Number of classes.
        teacher: Whether `teacher_logits` will be among the signals: adds the agreement and the teacher's entropy.
        concentration: Whether `alpha` and `beta` will be among them: adds the two concentrations of the gradient.

    Returns:
        Metrics accuracy, accuracy_top5 (above 5 classes), calibration_error (15 bins, L1), student_entropy, agreement,
        teacher_entropy, hardness and confidence.

    Example:
        >>> import torch
        >>> metrics = classification_metrics(classes=3)
        >>> logits, labels = torch.eye(3), torch.tensor([0, 1, 1])
        >>> metrics.update(preds=logits, target=labels, student_logits=logits)
        >>> round(metrics.compute()["accuracy"].item(), 4)
        0.6667
    """
    metrics: dict[str, Metric | MetricCollection] = {
        "accuracy": MulticlassAccuracy(classes, average="micro"),
        "calibration_error": MulticlassCalibrationError(classes),
        "student_entropy": StudentEntropy(),
    }
    if classes > 5:
        metrics["accuracy_top5"] = MulticlassAccuracy(classes, top_k=5, average="micro")
    if teacher:
        metrics |= {"agreement": TeacherAgreement(), "teacher_entropy": TeacherEntropy()}
    if concentration:
        metrics |= {"hardness": HardnessConcentration(), "confidence": ConfidenceConcentration()}
    # Groups are explicit: detection would merge metrics that agree on the first batch by chance.
    return MetricCollection(metrics, compute_groups=[["hardness", "confidence"]] if concentration else False)
