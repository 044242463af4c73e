import torch

from lightning_abkd.metrics import classification_metrics
from lightning_abkd.training._stage_metrics import StageMetrics


def test_stages_are_kept_apart_and_start_afresh():
    metrics, logits = StageMetrics(), torch.eye(3)
    metrics.update("val", {"student_logits": logits, "labels": torch.tensor([0, 1, 2])}, classification_metrics)
    metrics.update("test", {"student_logits": logits, "labels": torch.tensor([0, 0, 0])}, classification_metrics)
    assert metrics.compute("val")["accuracy"] == 1.0
    metrics.update("val", {"student_logits": logits, "labels": torch.tensor([1, 2, 0])}, classification_metrics)
    assert metrics.compute("val")["accuracy"] == 0.0


def test_a_stage_without_batches_has_no_metrics():
    assert StageMetrics().compute("val") == {}
