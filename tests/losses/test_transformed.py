import pytest
import torch

from lightning_abkd.losses import (
    AlphaBetaDivergence,
    ForwardKL,
    LogitStandardization,
    TransformedTeacherMatching,
    WeightedTransformedTeacherMatching,
)
from tests._asserts import logits
from tests._vectors import METHODS, logits_of


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("KD", ForwardKL(4.0, scale_by_temperature=True)),
        ("LSD", LogitStandardization()),
        ("LSD_AB", LogitStandardization(AlphaBetaDivergence(0.8, 0.2, temperature=2.0, scale_by_temperature=True))),
        ("TTM", TransformedTeacherMatching(power=0.1)),
        ("WTTM", WeightedTransformedTeacherMatching(power=0.2)),
    ],
)
def test_agrees_with_the_released_code(name, loss):
    case = METHODS[name]
    student, teacher = logits_of(case)
    # Powers, α and β are float32 buffers; official values have nine digits.
    assert loss(student, teacher).item() == pytest.approx(case["expected"], rel=1e-7)


def test_standardised_logits_ignore_shift_and_scale():
    student, teacher = logits(4, 9), logits(4, 9, seed=1)
    loss = LogitStandardization()
    torch.testing.assert_close(loss(3 * student + 1, teacher / 2), loss(student, teacher))


def test_constant_logits_have_a_finite_gradient():
    student = torch.zeros(2, 5, requires_grad=True)
    LogitStandardization()(student, logits(2, 5).float()).backward()
    assert student.grad.isfinite().all()


def test_masked_samples_do_not_count():
    student, teacher, mask = logits(4, 9), logits(4, 9, seed=1), torch.tensor([True, False, True, True])
    for loss in (LogitStandardization(), TransformedTeacherMatching(), WeightedTransformedTeacherMatching()):
        torch.testing.assert_close(loss(student, teacher, mask), loss(student[mask], teacher[mask]))


def test_weights_need_one_value_a_sample():
    with pytest.raises(ValueError, match="should have the reduction 'none'.*Found 'mean'"):
        WeightedTransformedTeacherMatching(ForwardKL())


def test_power_must_be_positive():
    with pytest.raises(ValueError, match="`power` should be finite and greater than 0"):
        TransformedTeacherMatching(power=0.0)
