import pytest
import torch

from lightning_abkd.losses import LSD, AlphaBetaDivergence
from tests._asserts import logits
from tests._vectors import METHODS, logits_of


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("LSD", LSD()),
        ("LSD_AB", LSD(AlphaBetaDivergence(0.8, 0.2, temperature=2.0, scale_by_temperature=True))),
    ],
)
def test_agrees_with_the_released_code(name, loss):
    case = METHODS[name]
    student, teacher = logits_of(case)
    # Powers, α and β are float32 buffers; official values have nine digits.
    assert loss(student, teacher).item() == pytest.approx(case["expected"], rel=1e-7)


def test_standardised_logits_ignore_shift_and_scale():
    student, teacher = logits(4, 9), logits(4, 9, seed=1)
    loss = LSD()
    torch.testing.assert_close(loss(3 * student + 1, teacher / 2), loss(student, teacher))


def test_constant_logits_have_a_finite_gradient():
    student = torch.zeros(2, 5, requires_grad=True)
    LSD()(student, logits(2, 5).float()).backward()
    assert student.grad.isfinite().all()


def test_masked_samples_do_not_count():
    student, teacher, mask = logits(4, 9), logits(4, 9, seed=1), torch.tensor([True, False, True, True])
    loss = LSD()
    torch.testing.assert_close(loss(student, teacher, mask), loss(student[mask], teacher[mask]))
