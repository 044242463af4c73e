import torch

from lightning_abkd.metrics import ConfidenceConcentration, HardnessConcentration, classification_metrics
from lightning_abkd.metrics._concentration import _Concentration


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


def test_both_concentrations_come_from_one_pass(monkeypatch):
    passes = []
    measure = HardnessConcentration._measure
    monkeypatch.setattr(_Concentration, "_measure", lambda *args: passes.append(1) or measure(*args))
    metrics, (student, teacher) = classification_metrics(7, teacher=True, concentration=True), torch.randn(2, 9, 7)
    batch = {"student_logits": student, "teacher_logits": teacher, "alpha": 0.5, "beta": 0.5}
    for _ in range(2):
        metrics.update(preds=student, target=torch.arange(9) % 7, **batch)
    assert len(passes) == 2
    for name, alone in (("hardness", HardnessConcentration()), ("confidence", ConfidenceConcentration())):
        alone.update(**batch)
        torch.testing.assert_close(metrics.compute()[name], alone.compute())
