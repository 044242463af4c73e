import pytest

from lightning_abkd.diagnostics.doctor._temperature import squared_temperature
from lightning_abkd.losses import CRD, DIST, DKD, ForwardKL, WeightedSum
from tests.diagnostics.doctor._patients import module

SCALED = {"temperature": 4.0, "scale_by_temperature": True}


def found(divergence, last=None, **options):
    return squared_temperature(module(divergence=divergence, **options), last or {})


@pytest.mark.parametrize(
    ("divergence", "options"),
    [
        (ForwardKL(**SCALED), {"distillation_weight": 16.0}),
        (ForwardKL(**SCALED), {"distillation_weight": 14.4, "task_weight": 0.1}),
        (DKD(divergence=ForwardKL(**SCALED)), {"distillation_weight": 16.0}),
        (DIST(temperature=2.0), {"distillation_weight": 4.0}),
        (WeightedSum({"kd": ForwardKL(**SCALED)}, {"kd": 16.0}), {}),
        (WeightedSum({"kd": ForwardKL(**SCALED)}, {"kd": 4.0}), {"distillation_weight": 4.0}),
    ],
)
def test_square_in_loss_and_weight_is_red(divergence, options):
    assert found(divergence, **options).text.startswith("T² twice: ")


def test_square_that_a_schedule_ends_with_is_red():
    assert found(ForwardKL(**SCALED), {"distillation_weight": 16.0}).is_red


def test_square_in_one_place_is_green():
    assert found(ForwardKL(**SCALED)).text == "ForwardKL: T = 4, times T² = 16, weight 1"
    assert not found(ForwardKL(4.0), distillation_weight=16.0).is_red
    assert not found(ForwardKL(1.0, scale_by_temperature=True)).is_red


def test_a_loss_without_temperature_is_not_checked():
    assert found(None, teacher=None).state == "not checked"
    loss = CRD(8, 4, 4)
    assert "CRD" in squared_temperature(_with(loss), {}).text


def _with(loss):
    model = module()
    model.divergence = loss
    model.divergence.temperature = None
    return model
