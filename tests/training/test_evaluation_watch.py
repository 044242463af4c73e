import warnings

import pytest
import torch

from lightning_abkd.training._evaluation_watch import EvaluationWatch
from tests.training._training import module, trainer


@pytest.fixture
def net(tmp_path):
    net = module()
    net.trainer = trainer(tmp_path)
    return net


def watched(net, *values, counts=1, device="cpu", first_bad=""):
    watch = EvaluationWatch()
    for i, value in enumerate(values):
        signals = {"student_logits": torch.full((2, 3), value)}
        terms = {"divergence": (1.0, torch.tensor(value))}
        batch = (torch.ones(2, 5), torch.zeros(2))
        watch.look(net, "val", batch, i, signals, terms, {"divergence": counts}, first_bad)
    return watch


def test_the_first_bad_batch_is_said_once(net):
    watch = watched(net, 0.0, torch.nan, torch.inf)
    expected = "The student's logits contain NaN in batch 1 of val in all 2 samples.* `val/loss` is no finite number"
    with pytest.warns(UserWarning, match=expected):
        watch.report("val", trial=False)
    watch.report("val", trial=False)
    watch.report("test", trial=False)


def test_the_first_bad_module_is_said(net):
    with pytest.warns(UserWarning, match="The first bad module is x"):
        watched(net, torch.nan, first_bad="x").report("val", trial=False)


def test_a_bad_value_of_no_position_is_none(net):
    watched(net, torch.nan, counts=0).report("val", trial=False)
    watched(net, torch.nan, counts=torch.tensor(0)).report("val", trial=False)
    EvaluationWatch().look(net, "val", None, 0, {}, {}, {}, "")


def test_batches_that_are_not_waited_for_are_named_by_their_number(net, monkeypatch):
    monkeypatch.setattr("lightning_abkd.training._checks.is_watched", lambda device, batch_idx: False)
    with pytest.warns(UserWarning, match="The loss of batch 1 of val is NaN or inf"):
        watched(net, 0.0, torch.inf).report("val", trial=False)


def test_a_trial_says_nothing(net):
    watch = watched(net, torch.nan)
    watch.report("val", trial=True)
    watch.report("val", trial=False)


def test_right_batches_are_no_warning(net):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watched(net, 0.0, 1.0).report("val", trial=False)
