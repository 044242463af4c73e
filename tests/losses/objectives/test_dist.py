from functools import partial

import pytest
import torch

from lightning_abkd.losses import DIST
from tests._asserts import logits
from tests._losses import assert_loss, pair
from tests._vectors import METHODS, logits_of

CASE = METHODS["DIST"]


def test_is_a_loss():
    student, teacher = logits(4, 7), logits(4, 7, seed=1)
    # T² multiplies the 1e-8 of the denominators.
    assert_loss(partial(DIST, temperature=1.0), pair(student, teacher), zero=pair(teacher, teacher))


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


def test_a_single_sample_says_why_it_is_refused():
    with pytest.raises(ValueError, match="a class over one sample has no correlation.*Found shape"):
        DIST()(torch.zeros(1, 5), torch.zeros(1, 5))
