import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels._grid_plan import GridPlan
from lightning_abkd.kernels._grid_sums import RowSums
from lightning_abkd.kernels._grid_values import grid_values, infinite_points
from tests._asserts import log_probabilities, logits

# Points whose D is divided by β, by α + β, and the origin.
ALPHAS = [0.3, 1.0, 0.0, -0.05]
BETAS = [0.7, 0.05, 0.0]


def sums_of(plan, log_p, log_q):
    sums = RowSums(plan, len(log_q), log_q.shape[-1], log_q.device)
    sums.add(slice(0, len(log_q)), torch.stack([log_q, log_p]))
    return sums


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("beta", BETAS)
def test_value_and_norm_are_those_of_the_divergence(alpha, beta):
    log_p, z = log_probabilities(6, 9), logits(6, 9, seed=1).requires_grad_()
    expected = alpha_beta_divergence(log_p, z.log_softmax(-1), alpha, beta)
    norm = torch.autograd.grad(expected.sum(), z)[0].norm(dim=-1)
    plan = GridPlan.build(ALPHAS, BETAS)
    values, norms = grid_values(plan, sums_of(plan, log_p, z.detach().log_softmax(-1)))
    point = slice(None), ALPHAS.index(alpha), BETAS.index(beta)
    torch.testing.assert_close(values[point], expected.detach(), rtol=1e-9, atol=1e-14)
    torch.testing.assert_close(norms[point], norm, rtol=1e-7, atol=1e-12)


def test_sure_sides_keep_the_digits_of_the_gradient():
    # Probabilities of 1 - 1e-13 are known to 1e-16, but what they lack is known to all digits.
    q = torch.tensor([[1.0, 0.4e-13, 0.6e-13]], dtype=torch.float64)
    p = torch.tensor([[1.0, 1.0e-13, 2.0e-13]], dtype=torch.float64)
    plan = GridPlan.build([1.0], [0.0])
    norm = grid_values(plan, sums_of(plan, p.log(), q.log()))[1].item()
    # The gradient of forward KL is q - p: 1e-13 (2, -0.6, -1.4).
    assert norm == pytest.approx(1e-13 * (2.0**2 + 0.6**2 + 1.4**2) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("side", [0, 1])
def test_infinite_points_are_those_without_a_finite_term(side):
    plan = GridPlan.build([0.0, 0.5, -0.5], [0.0, 0.5, -0.25])
    one_sided = torch.zeros(2, 1, dtype=torch.bool)
    one_sided[side] = True
    sides = [torch.tensor([[0.5, 0.5]]).double().log() for _ in range(2)]
    sides[side][0, 1] = -torch.inf
    values, _ = infinite_points(plan, one_sided)
    for row, alpha in enumerate(plan.grid.alphas):
        for column, beta in enumerate(plan.grid.betas):
            infinite = alpha_beta_divergence(sides[1], sides[0], alpha, beta).isinf().item()
            assert values[0, row, column].item() == infinite


def test_rows_without_such_a_class_have_no_infinite_point():
    values, norms = infinite_points(GridPlan.build([0.0], [0.0]), torch.zeros(2, 3, dtype=torch.bool))
    assert not values.any()
    assert not norms.any()
