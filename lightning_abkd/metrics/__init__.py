"""Measurements of a student against its teacher that torchmetrics lacks.

Here: `torchmetrics.Metric`s that read logits, one that reads generated texts, and their base class `PositionMean`. The
state is a sum and a count on the device: no update waits for the host, and processes are summed. Every class takes
named arguments, so that one `MetricCollection` updated with all signals feeds each.
Not here: what torchmetrics has (accuracy, calibration, …), and anything with a gradient.
"""

from lightning_abkd.metrics._agreement import TeacherAgreement
from lightning_abkd.metrics._classification import classification_metrics
from lightning_abkd.metrics._concentration import ConfidenceConcentration, HardnessConcentration
from lightning_abkd.metrics._entropy import StudentEntropy, TeacherEntropy
from lightning_abkd.metrics._mean import PositionMean
from lightning_abkd.metrics._perplexity import StudentPerplexity, TeacherPerplexity
from lightning_abkd.metrics._rouge import RougeL, rouge_l

__all__ = [
    "ConfidenceConcentration",
    "HardnessConcentration",
    "PositionMean",
    "RougeL",
    "StudentEntropy",
    "StudentPerplexity",
    "TeacherAgreement",
    "TeacherEntropy",
    "TeacherPerplexity",
    "classification_metrics",
    "rouge_l",
]
