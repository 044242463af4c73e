import pytest
import torch
from torchmetrics import MetricCollection

from lightning_abkd.metrics import StudentEntropy, TeacherEntropy, classification_metrics
from lightning_abkd.training._evaluations import Evaluations

LOGITS, LABELS = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)), torch.arange(200) % 10
TERMS = {"task_loss": (1.0, torch.tensor(2.0))}


def evaluated(evaluations, trial=False, **signals):
    signals = {"student_logits": LOGITS, "teacher_logits": LOGITS * 3, "labels": LABELS, **signals}
    evaluations.update("val", TERMS, signals, {}, lambda classes: classification_metrics(classes, teacher=True))
    return evaluations.compute("val", trial)


def test_losses_and_metrics_have_the_name_of_their_set():
    evaluations = Evaluations()
    build = lambda classes: MetricCollection({"entropy": StudentEntropy()})  # noqa: E731
    evaluations.update("val/two", TERMS, {"student_logits": LOGITS}, {}, build)
    assert set(evaluations.compute("val/two", trial=False)) == {"val/two/loss", "val/two/task_loss", "val/two/entropy"}
    assert evaluations.compute("val/one", trial=False) == {}


def test_live_numbers_are_signals_of_metrics():
    evaluations = Evaluations()
    build = lambda classes: MetricCollection({"entropy": TeacherEntropy()})  # noqa: E731
    signals = {"student_logits": LOGITS, "teacher_logits": LOGITS}
    evaluations.update("val", {}, signals, {"temperature": torch.tensor(1e6)}, build)
    assert evaluations.compute("val", trial=True)["val/entropy"] == pytest.approx(torch.tensor(10.0).log().item())


@pytest.mark.filterwarnings("error")
def test_a_teacher_is_judged_once_and_not_by_a_trial():
    evaluations = Evaluations()
    evaluated(evaluations, trial=True)
    with pytest.warns(UserWarning, match="The teacher seems to know nothing of val: its accuracy is 0"):
        evaluated(evaluations)
    evaluated(evaluations)


@pytest.mark.filterwarnings("error")
def test_a_teacher_that_knows_something_is_no_alarm():
    evaluated(Evaluations(), teacher_logits=torch.eye(10)[LABELS])


@pytest.mark.filterwarnings("error")
def test_a_set_without_a_counted_position_is_said_and_not_by_a_trial():
    evaluations = Evaluations()
    nothing = torch.full((200,), -100)
    assert evaluated(evaluations, trial=True, labels=nothing, teacher_logits=torch.eye(10)[LABELS])["val/loss"].isnan()
    with pytest.warns(UserWarning, match="No position of val counts, so that `val/loss` is NaN"):
        evaluated(evaluations, labels=nothing)
