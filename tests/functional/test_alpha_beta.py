import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence, alpha_beta_slope
from tests._asserts import (
    CASES,
    assert_divergence,
    gradient_error,
    log_probabilities,
    logits,
    relative_error,
    rounding_bound,
)

POINTS = [(1, 0), (0, 1), (0.5, 0.5), (0.2, 0.7), (0, 0), (0.5, -0.5), (-0.2, 0.9), (1.2, -0.3), (2, 1), (0, 0.5)]


def evaluate(case, dtype):
    student = torch.tensor(case["student_logits"], dtype=dtype, requires_grad=True)
    teacher = torch.tensor(case["teacher_logits"], dtype=dtype)
    log_p, log_q = ((x / case["temperature"]).log_softmax(-1) for x in (teacher, student))
    value = alpha_beta_divergence(log_p, log_q, case["alpha"], case["beta"])
    value.backward()
    return value.item(), student.grad


@pytest.mark.parametrize(
    ("dtype", "value_bound", "gradient_bound"), [(torch.float64, 1e-12, 1e-12), (torch.float32, 2e-5, 1e-4)]
)
def test_agrees_with_fifty_digits(dtype, value_bound, gradient_bound):
    for case in CASES:
        value, gradient = evaluate(case, dtype)
        rounding = rounding_bound(case, torch.finfo(dtype).eps)
        assert relative_error(value, case) <= (rounding if case["near"] else max(value_bound, rounding))
        assert gradient_error(gradient, case) <= gradient_bound
        assert value >= 0


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_is_a_divergence(alpha, beta):
    # With a negative exponent the gradient itself exceeds float32 for sharper logits.
    sharpest = 100.0 if min(alpha, beta) >= 0 else 10.0
    assert_divergence(lambda log_p, log_q: alpha_beta_divergence(log_p, log_q, alpha, beta), sharpest)


@pytest.mark.parametrize(("alpha", "beta"), [(1, 0), (0, 1), (0.5, 0), (0, 0.5), (0.5, -0.5), (0, 0)])
def test_value_and_gradient_are_continuous_at_limits(alpha, beta):
    log_p, log_q = log_probabilities(5, 9), log_probabilities(5, 9, seed=1).requires_grad_()
    value = alpha_beta_divergence(log_p, log_q, alpha, beta)
    (gradient,) = torch.autograd.grad(value.sum(), log_q)
    for step in [(1e-7, 0), (-1e-7, 0), (0, 1e-7), (0, -1e-7), (1e-7, -1e-7)]:
        near = alpha_beta_divergence(log_p, log_q, alpha + step[0], beta + step[1])
        torch.testing.assert_close(near, value, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.autograd.grad(near.sum(), log_q)[0], gradient, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 0.5), (0.2, 0.7), (2, 1), (1.2, -0.3)])
def test_equals_the_papers_formula(alpha, beta):
    log_p, log_q = log_probabilities(6, 8), log_probabilities(6, 8, seed=1)
    p, q, total = log_p.exp(), log_q.exp(), alpha + beta
    paper = p**alpha * q**beta - alpha / total * p**total - beta / total * q**total
    expected = -paper.sum(-1) / (alpha * beta)
    torch.testing.assert_close(alpha_beta_divergence(log_p, log_q, alpha, beta), expected)


def test_limits_are_the_documented_formulas():
    log_p, log_q = log_probabilities(6, 8), log_probabilities(6, 8, seed=1)
    p, q, d = log_p.exp(), log_q.exp(), log_p - log_q
    expected = {
        (0.0, 0.7): (q**0.7 * -0.7 * d - q**0.7 + p**0.7) / 0.7**2,
        (0.2, 0.0): (p**0.2 * 0.2 * d - p**0.2 + q**0.2) / 0.2**2,
        (0.3, -0.3): ((p / q) ** 0.3 - 1 - 0.3 * d) / 0.3**2,
        (0.0, 0.0): d.square() / 2,
    }
    for exponents, terms in expected.items():
        torch.testing.assert_close(alpha_beta_divergence(log_p, log_q, *exponents), terms.sum(-1))


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_slope_makes_the_gradient(alpha, beta):
    log_p, z = log_probabilities(5, 9), logits(5, 9, seed=1).requires_grad_()
    log_q = z.log_softmax(-1)
    (gradient,) = torch.autograd.grad(alpha_beta_divergence(log_p, log_q, alpha, beta).sum(), z)
    g = alpha_beta_slope(log_p, log_q, alpha, beta)
    torch.testing.assert_close(gradient, log_q.exp() * g.sum(-1, keepdim=True) - g)


def test_duality_swaps_the_arguments():
    log_p, log_q = log_probabilities(5, 9), log_probabilities(5, 9, seed=1)
    swapped = alpha_beta_divergence(log_q, log_p, 0.7, 0.2)
    torch.testing.assert_close(alpha_beta_divergence(log_p, log_q, 0.2, 0.7), swapped)


def test_exponents_may_differ_by_position():
    log_p, log_q = log_probabilities(3, 2, 9), log_probabilities(3, 2, 9, seed=1)
    alpha, beta = torch.tensor([[1.0, 0.0], [0.5, 0.2], [0.0, 1.2]]), torch.tensor([[0.0], [0.7], [-0.3]])
    values = alpha_beta_divergence(log_p, log_q, alpha, beta)
    for i in range(3):
        for j in range(2):
            one = alpha_beta_divergence(log_p[i, j], log_q[i, j], alpha[i, j].double(), beta[i, 0].double())
            torch.testing.assert_close(values[i, j], one)


def test_exponents_receive_no_gradient():
    log_q = log_probabilities(2, 3).requires_grad_()
    alpha = torch.tensor(0.5, requires_grad=True)
    alpha_beta_divergence(log_probabilities(2, 3, seed=1), log_q, alpha, 0.5).sum().backward()
    assert alpha.grad is None


@pytest.mark.parametrize(("side", "alpha", "beta"), [("teacher", 0.5, 0.2), ("student", 0.5, 0.2)])
def test_infinite_logit_of_one_side_adds_its_closed_form(side, alpha, beta):
    finite, one_sided = torch.tensor([0.6, 0.3, 0.1]).log(), torch.tensor([0.5, 0.5, 0.0]).log()
    log_p, log_q = (one_sided, finite) if side == "teacher" else (finite, one_sided)
    two = alpha_beta_divergence(log_p[:2], log_q[:2], alpha, beta)
    exponent = alpha if side == "teacher" else beta
    # MATH: q^s/(α s) for the teacher's side, p^s/(β s) for the student's, here with probability 0.1.
    expected = two + 0.1 ** (alpha + beta) / (exponent * (alpha + beta))
    torch.testing.assert_close(alpha_beta_divergence(log_p, log_q, alpha, beta), expected)


@pytest.mark.parametrize(("alpha", "beta"), [(0, 1), (-0.2, 0.9), (0.3, -0.5), (0, 0)])
def test_infinite_where_the_teacher_excludes_a_class_that_must_count(alpha, beta):
    log_p, log_q = torch.tensor([0.5, 0.5, 0.0]).log(), torch.tensor([0.6, 0.3, 0.1]).log()
    assert alpha_beta_divergence(log_p, log_q, alpha, beta).isposinf()


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_class_excluded_by_both_contributes_nothing(alpha, beta):
    p, q = torch.tensor([0.6, 0.4]).log(), torch.tensor([0.3, 0.7]).log()
    excluded = torch.tensor([-torch.inf])
    log_q = torch.cat([q, excluded]).requires_grad_()
    value = alpha_beta_divergence(torch.cat([p, excluded]), log_q, alpha, beta)
    torch.testing.assert_close(value, alpha_beta_divergence(p, q, alpha, beta))
    (gradient,) = torch.autograd.grad(value, log_q)
    assert gradient[2] == 0


def test_nan_is_not_hidden():
    log_p, log_q = torch.tensor([0.5, torch.nan]), torch.tensor([0.5, 0.5]).log()
    assert alpha_beta_divergence(log_p, log_q, 0.2, 0.7).isnan()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_promoted(dtype):
    log_p, log_q = log_probabilities(4, 9).to(dtype), log_probabilities(4, 9, seed=1).to(dtype)
    value = alpha_beta_divergence(log_p, log_q, 0.2, 0.7)
    torch.testing.assert_close(value, alpha_beta_divergence(log_p.float(), log_q.float(), 0.2, 0.7), rtol=0, atol=0)
    assert value.dtype == torch.float32


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"should have the same shape. Found \(2, 3\) and \(2, 4\)"):
        alpha_beta_divergence(torch.zeros(2, 3), torch.zeros(2, 4), 0.5, 0.5)


def test_large_exponent_products_do_not_overflow():
    student = (100 * logits(4, 9).float()).requires_grad_()
    value = alpha_beta_divergence(logits(4, 9, seed=1).float().log_softmax(-1), student.log_softmax(-1), 3.0, 2.0)
    value.sum().backward()
    assert value.isfinite().all()
    assert student.grad.isfinite().all()
