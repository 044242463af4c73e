import torch

from lightning_abkd.metrics import classification_metrics


def test_each_metric_picks_its_own_signals():
    metrics = classification_metrics(7, teacher=True, concentration=True)
    logits, labels = torch.randn(9, 7), torch.arange(9) % 7
    numbers = {"alpha": torch.tensor(0.5), "beta": torch.tensor(0.5), "temperature": torch.tensor(1.0)}
    metrics.update(preds=logits, target=labels, student_logits=logits, teacher_logits=logits, mask=None, **numbers)
    result = metrics.compute()
    assert result["agreement"] == 1.0
    assert result["accuracy"] == (logits.argmax(-1) == labels).float().mean()
    assert result["accuracy_top5"] >= result["accuracy"]
    assert result["student_entropy"] == result["teacher_entropy"]


def test_top_five_needs_more_than_five_classes():
    assert "accuracy_top5" not in classification_metrics(5)
    assert set(classification_metrics(6)) == {"accuracy", "accuracy_top5", "calibration_error", "student_entropy"}
