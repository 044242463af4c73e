from functools import partial

import pytest
import torch

from lightning_abkd.losses import ITRD
from tests._asserts import logits
from tests._losses import assert_loss
from tests._vectors import METHODS

CASE = METHODS["ITRD"]


def test_is_a_loss():
    assert_loss(partial(ITRD, 3, 5), {"student_features": logits(4, 3), "teacher_features": logits(4, 5, seed=1)})


@pytest.mark.parametrize(("weights", "name"), [((1.0, 0.0), "corr"), ((0.0, 1.0), "mutual"), ((2.0, 1.0), "total")])
def test_agrees_with_the_released_code(weights, name):
    given = {key: torch.tensor(value, dtype=torch.float64) for key, value in CASE["inputs"].items()}
    loss = ITRD(3, 5, 1.5, *weights).double()
    loss.embed.load_state_dict({"weight": given["embed_weight"], "bias": given["embed_bias"]})
    value = loss(given["student_feat"], given["teacher_feat"])
    assert value.item() == pytest.approx(CASE["expected"][name], rel=1e-7)


def test_equal_sizes_leave_the_mutual_information_without_the_map():
    loss = ITRD(5, 5, correlation_weight=0.0).double()
    student = logits(4, 5).requires_grad_()
    loss(student, logits(4, 5, seed=1)).backward()
    assert student.grad.abs().sum() > 0
    assert not loss.embed.weight.grad.any()


def test_a_single_sample_says_why_it_is_refused():
    with pytest.raises(ValueError, match="a feature of one sample has no correlation.*drop_last"):
        ITRD(3, 5)(torch.zeros(1, 3), torch.zeros(1, 5))


def test_another_size_of_features_names_the_parameter():
    with pytest.raises(ValueError, match=r"`student_dim` should be the size.*`student_dim = 3` .* \(4, 7\)"):
        ITRD(3, 5)(torch.zeros(4, 7), torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"`teacher_dim = 5` and features of shape \(4, 7\)"):
        ITRD(3, 5)(torch.zeros(4, 3), torch.zeros(4, 7))


@pytest.mark.parametrize("name", ["student_dim", "teacher_dim", "alpha"])
def test_sizes_and_alpha_are_positive(name):
    with pytest.raises(ValueError, match=f"`{name}` should be finite and greater than 0"):
        ITRD(**{"student_dim": 3, "teacher_dim": 5, name: 0})
