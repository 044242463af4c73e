import pytest
import torch

from lightning_abkd.losses import LSD, AlphaBetaDivergence
from tests._asserts import logits
from tests._losses import assert_loss, pair
from tests._vectors import METHODS, logits_of


def test_is_a_loss():
    student, teacher = logits(4, 7), logits(4, 7, seed=1)
    assert_loss(LSD, pair(student, teacher), zero=pair(3 * teacher + 1, teacher), excluded=False)


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
