import pytest

from lightning_abkd.losses import TTM, WTTM, ForwardKL
from tests._asserts import logits
from tests._losses import assert_loss, pair
from tests._vectors import METHODS, logits_of


@pytest.mark.parametrize("loss", [TTM, WTTM])
def test_is_a_loss(loss):
    student, teacher = logits(4, 7), logits(4, 7, seed=1)
    assert_loss(loss, pair(student, teacher), zero=pair(0.1 * teacher, teacher))


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("KD", ForwardKL(4.0, scale_by_temperature=True)),
        ("TTM", TTM(power=0.1)),
        ("WTTM", WTTM(power=0.2)),
    ],
)
def test_agrees_with_the_released_code(name, loss):
    case = METHODS[name]
    student, teacher = logits_of(case)
    # Powers, α and β are float32 buffers; official values have nine digits.
    assert loss(student, teacher).item() == pytest.approx(case["expected"], rel=1e-7)


def test_weights_need_one_value_a_sample():
    with pytest.raises(ValueError, match="should have the reduction 'none'.*Found 'mean'"):
        WTTM(ForwardKL())


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="`power` should be finite and greater than 0"):
        TTM(power=0.0)
