import pytest
import torch
from torch.nn.functional import cross_entropy

from lightning_abkd.kernels import alpha_beta_cross_entropy_rows
from tests.kernels._triton import DEVICE, eager, needs_triton, poisoned, rows

pytestmark = [needs_triton, pytest.mark.usefixtures("poisoned")]
__all__ = ["poisoned"]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_divergence_and_cross_entropy_share_a_pass(inplace, temperature):
    student, teacher = rows(3, 2500), rows(3, 2500, seed=1)
    labels, weights = torch.tensor([7, -100, 2400], device=DEVICE), torch.tensor([2.0, 0.5, 1.0], device=DEVICE)
    values, slope, _ = eager(student, teacher, 0.2, 0.7, temperature)
    exact = student.detach().double().requires_grad_()
    task = cross_entropy(exact, labels, reduction="none")
    (task_slope,) = torch.autograd.grad(task.sum(), exact)
    logits = student.detach().clone()
    gradient = logits if inplace else torch.empty_like(logits)
    found = alpha_beta_cross_entropy_rows(
        logits, teacher, gradient, 0.2, 0.7, temperature, weights, labels, task_weight=torch.tensor(0.3)
    )
    torch.testing.assert_close(found[0].double(), values, rtol=1e-5, atol=0)
    torch.testing.assert_close(found[1].double(), task.detach(), rtol=1e-5, atol=0)
    expected = weights.unsqueeze(-1) * slope + 0.3 * task_slope
    torch.testing.assert_close(gradient.double(), expected, rtol=1e-5, atol=1e-6)


def test_without_labels_there_is_no_cross_entropy():
    student, teacher = rows(2, 9), rows(2, 9, seed=1)
    values, task = alpha_beta_cross_entropy_rows(student, teacher, gradient := torch.empty(2, 9, device=DEVICE), 1, 0)
    torch.testing.assert_close(gradient.double(), eager(student, teacher, 1, 0)[1], rtol=1e-5, atol=1e-6)
    assert task is None
    assert values.shape == (2,)


def test_a_gradient_that_does_not_fit_is_named():
    two = torch.zeros(2, 3)
    with pytest.raises(
        ValueError, match=r"`student_logits` and `gradient` should have the same shape. Found \(2, 3\) and \(2,\)"
    ):
        alpha_beta_cross_entropy_rows(two, two, torch.zeros(2), 1, 0)
    with pytest.raises(TypeError, match="`gradient` should be float32, bfloat16 or float16. Found torch.float64"):
        alpha_beta_cross_entropy_rows(two, two, two.double(), 1, 0)
