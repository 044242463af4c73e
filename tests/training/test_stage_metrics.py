import pytest
import torch
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from lightning_abkd.metrics import StudentEntropy, classification_metrics
from lightning_abkd.training._stage_metrics import StageMetrics

LOGITS = torch.eye(3)


def with_all(classes):
    return classification_metrics(classes, teacher=True, concentration=True)


def signals(labels=(0, 1, 2), **others):
    return {"student_logits": LOGITS, "labels": torch.tensor(labels), **others}


def test_stages_are_kept_apart_and_start_afresh():
    metrics = StageMetrics()
    metrics.update("val", signals(), classification_metrics)
    metrics.update("test", signals((0, 0, 0)), classification_metrics)
    assert metrics.compute("val")["accuracy"] == 1.0
    metrics.update("val", signals((1, 2, 0)), classification_metrics)
    assert metrics.compute("val")["accuracy"] == 0.0


def test_a_stage_without_batches_has_no_metrics():
    assert StageMetrics().compute("val") == {}
    assert (StageMetrics().positions("val"), StageMetrics().classes("val")) == (0, 0)


def test_every_epoch_has_the_same_metrics():
    metrics = StageMetrics()
    batch = signals(teacher_logits=-LOGITS, alpha=torch.tensor(0.5), beta=torch.tensor(0.5))
    epochs = []
    for _ in range(3):
        for _ in range(2):
            metrics.update("val", batch, with_all)
        epochs.append(metrics.compute("val"))
    assert {"hardness", "confidence", "teacher_accuracy", "calibration_error"} <= set(epochs[0])
    torch.testing.assert_close(epochs[1], epochs[0])
    torch.testing.assert_close(epochs[2], epochs[0])


def test_metrics_without_their_signals_are_left_out():
    metrics = StageMetrics()
    metrics.update("val", {"student_logits": LOGITS}, with_all)
    assert set(metrics.compute("val")) == {"student_entropy"}
    metrics.update("val", signals(teacher_logits=torch.zeros(3, 4)), with_all)
    assert set(metrics.compute("val")) == {"student_entropy", "accuracy", "calibration_error"}


def test_a_batch_without_labels_changes_no_metric_of_labels():
    metrics = StageMetrics()
    metrics.update("val", signals((0, 1, 0)), classification_metrics)
    metrics.update("val", {"student_logits": LOGITS}, classification_metrics)
    assert metrics.positions("val") == 3
    assert metrics.compute("val")["accuracy"] == pytest.approx(2 / 3)


def test_nothing_is_computed_of_what_does_not_count():
    metrics = StageMetrics()
    metrics.update("val", signals((-100, -100, -100)), classification_metrics)
    assert set(metrics.compute("val")) == {"student_entropy"}
    metrics.update("val", signals(mask=torch.zeros(3, dtype=torch.bool)), classification_metrics)
    assert metrics.compute("val") == {}


def test_collections_of_a_users_own_keep_their_names():
    def build(classes):
        return MetricCollection({"a": MulticlassAccuracy(classes), "b": StudentEntropy()}, prefix="my_")

    metrics = StageMetrics()
    metrics.update("val", signals(), build)
    assert set(metrics.compute("val")) == {"my_a", "my_b"}
    metrics.update("val", {"student_logits": LOGITS}, build)
    assert set(metrics.compute("val")) == {"my_b"}


def test_labels_of_another_kind_reach_a_users_own_metrics():
    class Sum(StudentEntropy):
        def update(self, target):
            self.accumulate(target.sum(-1))

    metrics = StageMetrics()
    metrics.update(
        "val", {"student_logits": LOGITS, "labels": torch.ones(3, 7)}, lambda n: MetricCollection({"s": Sum()})
    )
    assert metrics.compute("val")["s"] == 7.0
