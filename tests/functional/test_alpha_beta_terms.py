import pytest
import torch

from lightning_abkd.functional._alpha_beta_terms import compare, exponent_column, powers_fit, slope
from tests._asserts import log_probabilities


def column(value):
    return exponent_column(value, torch.zeros(1, dtype=torch.float64))


def test_powers_fit_where_neither_exponent_is_negative_and_their_sum_is_not_small():
    assert powers_fit(1.0, 0.0)
    assert powers_fit(torch.tensor([0.2, 1.0]), 0.7)
    assert not powers_fit(torch.tensor([0.2, -1.0]), 0.7)
    assert not powers_fit(0.1, 0.1)
    assert not powers_fit(torch.tensor(1.0, device="meta"), 0.0)


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.2, 0.7), (2.0, 1.0)])
def test_both_forms_give_the_same(alpha, beta):
    log_p, log_q = log_probabilities(4, 9), log_probabilities(4, 9, seed=1)
    fast, careful = (compare(log_p, log_q, column(alpha), column(beta), fit, of_teacher=True) for fit in (True, False))
    torch.testing.assert_close(fast.values, careful.values)
    torch.testing.assert_close(fast.student.product(), careful.student.product())
    torch.testing.assert_close(fast.student.gradient(log_q), careful.student.gradient(log_q))
    torch.testing.assert_close(fast.teacher.gradient(log_p), careful.teacher.gradient(log_p))


def test_extreme_logarithms_take_the_careful_form_even_if_powers_fit():
    log_p, log_q = torch.tensor([[-0.7, -3e38]], dtype=torch.float64), torch.tensor([[-1.0, -1.0]], dtype=torch.float64)
    slopes = [slope(log_p, log_q, column(3.0), column(0.0), fit) for fit in (True, False)]
    assert torch.equal(*slopes)
    # (p³ - q³)/3 at p = 0
    torch.testing.assert_close(slopes[0][0, 1].item(), -torch.tensor(-3.0, dtype=torch.float64).exp().item() / 3)


def test_a_slope_overflows_only_where_the_difference_does():
    u = torch.tensor([[-100.0, -100.0 + 1e-5, -100.0]])
    v = torch.tensor([[-100.0, -100.0, -50.0]])
    a, b = (exponent_column(x, u) for x in (-0.4, -0.55))
    # e^95 alone is beyond float32.
    product = slope(u, v, a, b, powers_fit=False)
    assert product.isfinite().all()
    assert product[0, 0] == 0.0


@pytest.mark.parametrize("exponent", [1e-35, 1e-10, 0.5])
def test_a_class_that_one_side_excludes_has_its_limit_for_any_positive_exponent(exponent):
    log_p, log_q = torch.tensor([[0.0, -torch.inf]], dtype=torch.float64), torch.tensor([[0.5, 0.5]]).double().log()
    by_teacher = compare(log_p, log_q, column(exponent), column(0.0), powers_fit=False)
    by_student = compare(log_q, log_p, column(0.0), column(exponent), powers_fit=False)
    # q^s / (α s) with s = α; the other class adds less than ½ log² 2.
    limit = 0.5**exponent / exponent**2
    assert 0.0 <= by_teacher.values.item() - limit * (1.0 - 1e-12) < 0.25 + 2e-12 * limit
    assert torch.equal(by_teacher.values, by_student.values)
