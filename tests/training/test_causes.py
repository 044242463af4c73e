import pytest
import torch
from torch import nn

from lightning_abkd.losses import AlphaBetaDivergence, ForwardKL, WeightedSum
from lightning_abkd.training._causes import cause_of, first_broken_weight, numbers_of
from lightning_abkd.training._evidence import Finding


def cause(source, what="", teacher=None, student=None, divergence=None, precision="32-true"):
    return cause_of(Finding(source, what, "NaN"), teacher, student or nn.Linear(1, 1), divergence, precision)


def broken():
    network = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    network[1].running_var.fill_(torch.nan)
    return network


def test_bad_inputs_are_a_matter_of_data():
    assert "a normalisation by a standard deviation of 0" in cause("inputs")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"source": "teacher"}, "Check its weights"),
        ({"source": "teacher", "teacher": nn.Linear(1, 1)}, "Check its weights"),
        ({"source": "teacher", "teacher": nn.Linear(1, 1).half()}, "set `teacher_dtype` of the module to bfloat16"),
        ({"source": "teacher", "teacher": broken()}, "Its weight `1.running_var` is not finite"),
        ({"source": "student"}, "Lower the learning rate, set trainer.gradient_clip_val"),
        ({"source": "student", "precision": "16-mixed"}, "set trainer.precision to bf16-mixed"),
        ({"source": "student", "student": nn.Linear(1, 1).half()}, "set trainer.precision to bf16-mixed"),
        ({"source": "student", "student": broken()}, "Its weight `1.running_var` is not finite already"),
        ({"source": "gradient"}, "Lower the learning rate"),
        ({"source": "loss"}, "Check the loss's parameters"),
        ({"source": "loss", "what": "The loss's term `task_loss`"}, "Check the labels"),
        ({"source": "loss", "what": "The loss's term `task_loss`"}, "have grown too large: lower the learning rate"),
    ],
)
def test_the_cause_depends_on_what_is_wrong(options, expected):
    assert expected in cause(**options)


@pytest.mark.parametrize("source", ["loss", "gradient"])
def test_negative_exponents_are_named(source):
    for divergence in (AlphaBetaDivergence(-1.0, 0.25), WeightedSum({"ab": AlphaBetaDivergence(-1.0, 0.25)})):
        assert cause(source, divergence=divergence).startswith("With α = -1 and β = 0.25 the divergence grows")
    assert "With α" not in cause(source, divergence=AlphaBetaDivergence(0.0, 1.0))


def test_the_task_loss_is_not_blamed_on_the_exponents():
    assert "With α" not in cause("loss", "The loss's term `task_loss`", divergence=AlphaBetaDivergence(-1.0, 0.25))


def test_a_mask_among_the_buffers_is_not_broken():
    network = nn.Linear(1, 1)
    network.register_buffer("mask", torch.tensor([-torch.inf]))
    network.register_buffer("count", torch.tensor(1))
    assert first_broken_weight(network) == ""


def test_live_numbers_are_known_by_name():
    assert numbers_of(None) == {}
    assert numbers_of(AlphaBetaDivergence(0.5, 0.25)) == {"alpha": 0.5, "beta": 0.25, "temperature": 1.0}
    assert numbers_of(ForwardKL()).keys() >= {"alpha", "beta"}
