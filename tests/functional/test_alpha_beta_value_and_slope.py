import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence, alpha_beta_slope, alpha_beta_value_and_slope
from tests._asserts import log_probabilities

# Exponents of the quotient of slopes, then those of the divided difference.
POINTS = [(0.2, 0.7), (1.0, 0.0), (0.0, 1.0), (-0.5, 0.1), (0.0, 0.0), (0.5, -0.5), (0.1, 0.1)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_both_are_those_computed_apart_to_the_last_bit(alpha, beta, dtype):
    log_p, log_q = log_probabilities(4, 3, 7).to(dtype), log_probabilities(4, 3, 7, seed=1).to(dtype)
    value, slope = alpha_beta_value_and_slope(log_p, log_q, alpha, beta)
    assert value.equal(alpha_beta_divergence(log_p, log_q, alpha, beta))
    assert slope.equal(alpha_beta_slope(log_p, log_q, alpha, beta))


def test_exponents_may_depend_on_the_row():
    log_p, log_q = log_probabilities(7, 5).float(), log_probabilities(7, 5, seed=1).float()
    alpha, beta = torch.tensor(POINTS).unbind(-1)
    value, slope = alpha_beta_value_and_slope(log_p, log_q, alpha, beta)
    assert value.equal(alpha_beta_divergence(log_p, log_q, alpha, beta))
    assert slope.equal(alpha_beta_slope(log_p, log_q, alpha, beta))


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_classes_at_minus_infinity_are_those_of_the_divergence(alpha, beta):
    log_p, log_q = log_probabilities(4, 7), log_probabilities(4, 7, seed=1)
    log_p[:, 0] = log_q[:, 0] = log_p[1, 2] = log_q[2, 3] = -torch.inf
    value, slope = alpha_beta_value_and_slope(log_p, log_q, alpha, beta)
    assert value.equal(alpha_beta_divergence(log_p, log_q, alpha, beta))
    assert slope.equal(alpha_beta_slope(log_p, log_q, alpha, beta))


def test_neither_has_a_gradient():
    log_q = log_probabilities(2, 5).requires_grad_()
    assert not any(x.requires_grad for x in alpha_beta_value_and_slope(log_probabilities(2, 5), log_q, 0.2, 0.7))


def test_shapes_should_agree():
    with pytest.raises(ValueError, match=r"`log_p` and `log_q` should have the same shape. Found \(2,\) and \(3,\)"):
        alpha_beta_value_and_slope(torch.zeros(2), torch.zeros(3), 1.0, 0.0)
