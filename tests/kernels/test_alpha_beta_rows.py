import pytest
import torch

from lightning_abkd.kernels import alpha_beta_rows
from lightning_abkd.kernels._closed_form import closed_form
from tests._asserts import CASES, gradient_error, log_probabilities, relative_error, rounding_bound

POINTS = sorted({(case["alpha"], case["beta"]) for case in CASES})
SUITED = [(alpha, beta) for alpha, beta in POINTS if abs(alpha + beta) >= 0.05]


def pair(rows=4, classes=33):
    return log_probabilities(rows, classes).float(), log_probabilities(rows, classes, seed=1).float()


def numbers(*values):
    return tuple(torch.tensor(float(value)) for value in values)


@pytest.mark.parametrize("near", [False, True])
def test_agrees_with_fifty_digits(near):
    refused = 0
    for case in (case for case in CASES if case["near"] is near and (case["alpha"], case["beta"]) in SUITED):
        sides = (torch.tensor([case[f"{side}_logits"]]) / case["temperature"] for side in ("teacher", "student"))
        log_p, log_q = (side.log_softmax(-1) for side in sides)
        gradient = torch.full_like(log_q, torch.nan)
        exponents = numbers(case["alpha"], case["beta"])
        value = alpha_beta_rows(log_p, log_q, *exponents, gradient, 1.0 / case["temperature"])
        if value is None:
            refused += 1
            continue
        bound = rounding_bound(case, torch.finfo(torch.float32).eps) if near else 5e-5
        assert relative_error(value.item(), case) <= bound
        assert gradient_error(gradient[0], case) <= 1e-5
        assert value >= 0
    # e^(2d) of one row leaves float32.
    assert refused <= 1


@pytest.mark.parametrize(("alpha", "beta"), SUITED)
def test_equal_rows_give_zero(alpha, beta):
    log_p, _ = pair()
    gradient = torch.full_like(log_p, torch.nan)
    assert (alpha_beta_rows(log_p, log_p.clone(), *numbers(alpha, beta), gradient) == 0).all()
    assert (gradient == 0).all()


def test_exponents_of_each_row():
    (log_p, log_q), gradient = pair(), torch.empty(4, 33)
    alpha, beta = torch.tensor([0.0, 1.0, 0.2, -0.3]), torch.tensor([1.0, 0.0, 0.7, 0.9])
    values = alpha_beta_rows(log_p, log_q, alpha, beta, gradient)
    expected = closed_form(log_q, log_p, alpha, beta, torch.tensor(1.0))
    torch.testing.assert_close((values, gradient), expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("point", [(0.0, 0.0), (-0.5, 0.5), (0.01, 0.01)])
def test_a_total_near_zero_is_refused(point):
    assert alpha_beta_rows(*pair(), *numbers(*point)) is None
    mixed = torch.tensor([1.0, 1.0, 1.0, point[0]]), torch.tensor([0.0, 0.0, 0.0, point[1]])
    assert alpha_beta_rows(*pair(), *mixed) is None


@pytest.mark.parametrize("value", [-torch.inf, torch.nan])
def test_what_is_not_finite_is_refused(value):
    log_p, log_q = pair()
    log_q[2, 3] = value
    assert alpha_beta_rows(log_p, log_q, *numbers(0.2, 0.7)) is None
