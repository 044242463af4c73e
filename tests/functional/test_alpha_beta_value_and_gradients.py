import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence, alpha_beta_value_and_gradients
from tests._asserts import log_probabilities, logits


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.2, 0.7), (0.0, 0.0), (-0.5, 0.2), (1.2, -0.3)])
def test_gradients_are_those_of_autograd(alpha, beta):
    y, z = logits(4, 9).requires_grad_(), logits(4, 9, seed=1).requires_grad_()
    log_p, log_q = y.log_softmax(-1), z.log_softmax(-1)
    value = alpha_beta_divergence(log_p, log_q, alpha, beta)
    of_student, of_teacher = torch.autograd.grad(value.sum(), (z, y))
    found = alpha_beta_value_and_gradients(log_p, log_q, alpha, beta, of_teacher=True)
    for ours, theirs in zip(found, (value, of_student, of_teacher), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert not found.student.requires_grad


def test_the_teacher_has_a_gradient_only_if_it_is_asked_for():
    log_p = log_probabilities(2, 3)
    assert alpha_beta_value_and_gradients(log_p, log_p, 0.5, 0.5).teacher is None


def test_components_beyond_the_dtype_are_infinite_and_no_other():
    log_p, log_q = (torch.tensor([x]).log_softmax(-1) for x in ([0.0, 0.0, 1.0], [0.0, -120.0, 1.0]))
    found = alpha_beta_value_and_gradients(log_p, log_q, -1.0, 0.0)
    # g = q^-1 - p^-1 is about e^120 for the middle class.
    assert found.value.item() == found.student[0, 0].item() == found.student[0, 2].item() == torch.inf
    assert found.student[0, 1].item() == -torch.inf


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 1.0), (-1.0, 0.0), (1.0, 0.0), (-1.0, -1.0)])
def test_an_infinite_value_has_a_gradient_that_is_a_number(alpha, beta):
    log_p, log_q = torch.tensor([[0.5, 0.5, 0.0]]).log(), torch.tensor([[0.5, 0.0, 0.5]]).log()
    found = alpha_beta_value_and_gradients(log_p, log_q, alpha, beta, of_teacher=True)
    assert found.value.isposinf().all()
    assert not found.student.isnan().any()
    assert not found.teacher.isnan().any()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"should have the same shape. Found \(2, 3\) and \(2, 4\)"):
        alpha_beta_value_and_gradients(torch.zeros(2, 3), torch.zeros(2, 4), 0.5, 0.5)
