import pytest
import torch

from lightning_abkd.losses import TTM, WTTM, ForwardKL
from tests._asserts import logits
from tests._vectors import METHODS, logits_of


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


def test_masked_samples_do_not_count():
    student, teacher, mask = logits(4, 9), logits(4, 9, seed=1), torch.tensor([True, False, True, True])
    for loss in (TTM(), WTTM()):
        torch.testing.assert_close(loss(student, teacher, mask), loss(student[mask], teacher[mask]))


def test_weights_need_one_value_a_sample():
    with pytest.raises(ValueError, match="should have the reduction 'none'.*Found 'mean'"):
        WTTM(ForwardKL())


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="`power` should be finite and greater than 0"):
        TTM(power=0.0)
