import pytest
import torch

from lightning_abkd.losses import DIST
from tests._asserts import logits
from tests._vectors import METHODS, logits_of

CASE = METHODS["DIST"]


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "total"),
        ({"temperature": 1.0, "intra_weight": 0.0}, "inter_tau1"),
        ({"temperature": 1.0, "inter_weight": 0.0}, "intra_tau1"),
    ],
)
def test_agrees_with_the_released_code(options, name):
    student, teacher = logits_of(CASE)
    assert DIST(**options)(student, teacher).item() == pytest.approx(CASE["expected"][name], rel=1e-7)


def test_gradient_is_the_numerical_one():
    teacher = logits(3, 5, seed=1)
    assert torch.autograd.gradcheck(lambda z: DIST()(z, teacher), logits(3, 5).requires_grad_())


def test_a_single_sample_says_why_it_is_refused():
    with pytest.raises(ValueError, match="a class over one sample has no correlation.*Found shape"):
        DIST()(torch.zeros(1, 5), torch.zeros(1, 5))
