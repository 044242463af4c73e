"""Measurements of a student against its teacher that torchmetrics lacks.

Here live `torchmetrics.Metric`s that read logits, and one that reads generated texts: their state is a sum and a count
on the device, so nothing waits for the host and ranks are summed. What torchmetrics has (accuracy, calibration, …) is
taken from there, and nothing here has a gradient. Every class takes named arguments, so that one `MetricCollection`
updated with all signals feeds each.
"""

from lightning_abkd.metrics._agreement import TeacherAgreement
from lightning_abkd.metrics._classification import classification_metrics
from lightning_abkd.metrics._concentration import ConfidenceConcentration, HardnessConcentration
from lightning_abkd.metrics._entropy import StudentEntropy, TeacherEntropy
from lightning_abkd.metrics._rouge import RougeL, rouge_l

__all__ = [
    "ConfidenceConcentration",
    "HardnessConcentration",
    "RougeL",
    "StudentEntropy",
    "TeacherAgreement",
    "TeacherEntropy",
    "classification_metrics",
    "rouge_l",
]
