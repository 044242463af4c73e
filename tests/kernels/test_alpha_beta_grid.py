import math

import pytest
import torch

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels import _alpha_beta_grid as grid, alpha_beta_grid
from tests._asserts import CASES, logits

EVEN = [i / 6 for i in range(7)]
ODD = [2.7, 0.2, 1e-3, 0.2, 0.0]


def point_by_point(student, teacher, alphas, betas, temperature=1.0):
    values, norms = [], []
    for alpha, beta in ((alpha, beta) for alpha in alphas for beta in betas):
        z, y = student.double().requires_grad_(), teacher.double() / temperature
        value = alpha_beta_divergence(y.log_softmax(-1), (z / temperature).log_softmax(-1), alpha, beta)
        values.append(value.detach())
        norms.append(torch.autograd.grad(value.sum(), z)[0].norm(dim=-1))
    shape = (*student.shape[:-1], len(alphas), len(betas))
    return torch.stack(values, -1).view(shape), torch.stack(norms, -1).view(shape)


def size_of_sums(case):
    """Σ q^s |d| and what it is divided by: s where β is small, else β."""
    sides = (torch.tensor(case[f"{side}_logits"], dtype=torch.float64) for side in ("student", "teacher"))
    log_q, log_p = ((x / case["temperature"]).log_softmax(-1) for x in sides)
    s = case["alpha"] + case["beta"]
    divisor = abs(s) if abs(case["beta"]) < 0.1 else abs(case["beta"])
    return ((s * log_q).exp() * (log_p - log_q).abs()).sum().item() / (min(divisor, 1.0) or 1.0)


@pytest.mark.parametrize(("alphas", "betas"), [(EVEN, EVEN), (ODD, [0.7, 1e-6, 0.31, 1.0, 0.0]), ([0.0], [0.0])])
@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_is_the_divergence_and_its_gradient_at_every_point(alphas, betas, scale):
    student, teacher = logits(9, 40, scale=scale), logits(9, 40, scale=scale, seed=1)
    values, norms = alpha_beta_grid(student, teacher, alphas, betas, temperature=2.0)
    expected = point_by_point(student, teacher, alphas, betas, temperature=2.0)
    # At (0, 1e-6) a difference is divided by 1e-6.
    torch.testing.assert_close(values, expected[0], rtol=1e-8, atol=1e-14)
    torch.testing.assert_close(norms, expected[1], rtol=1e-6, atol=1e-9)


def test_negative_exponents_and_their_limits_are_points_like_others():
    alphas, betas = [-1.0, -0.3, 0.0, 0.3, 0.05], [-2.0, -0.05, 0.0, 0.3, 1.0]
    student, teacher = logits(9, 12), logits(9, 12, seed=1)
    values, norms = alpha_beta_grid(student, teacher, alphas, betas)
    expected = point_by_point(student, teacher, alphas, betas)
    torch.testing.assert_close(values, expected[0], rtol=1e-11, atol=0)
    torch.testing.assert_close(norms, expected[1], rtol=1e-9, atol=0)


def test_rows_that_overflow_under_negative_exponents_are_computed_otherwise():
    student, teacher = torch.tensor([[0.0, -800.0, -900.0]]).double(), torch.tensor([[0.0, -900.0, -800.0]]).double()
    values, norms = alpha_beta_grid(student, teacher, [1.0], [-0.5])
    expected = point_by_point(student, teacher, [1.0], [-0.5])
    assert expected[0] > 0
    torch.testing.assert_close(values, expected[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(norms, expected[1], rtol=1e-10, atol=0)


def test_agrees_with_fifty_digits_in_float32():
    for case in (case for case in CASES if not case["near"]):
        student, teacher = (torch.tensor([case[f"{side}_logits"]]) for side in ("student", "teacher"))
        value, norm = alpha_beta_grid(student, teacher, [case["alpha"]], [case["beta"]], case["temperature"])
        assert value.dtype == torch.float32
        bound = 2e-6 * size_of_sums(case) + 1e-6 * case["value"] + 2e-7
        assert abs(value.item() - case["value"]) <= bound, case
        size = torch.tensor(case["gradient"], dtype=torch.float64).norm().item()
        assert norm.item() == pytest.approx(size, rel=1e-4, abs=1e-6), case


@pytest.mark.parametrize(("scale", "vanishing"), [(1.0, 0.0), (10.0, 1e-3)])
def test_float32_keeps_the_map_of_a_batch(scale, vanishing):
    # For students sure of what the teacher excludes the gradient vanishes along α + β = 1.
    student, teacher = logits(16, 2000, scale=scale).float(), logits(16, 2000, scale=scale, seed=1).float()
    ours, expected = alpha_beta_grid(student, teacher, EVEN, EVEN), point_by_point(student, teacher, EVEN, EVEN)
    torch.testing.assert_close(ours.values.double(), expected[0], rtol=1e-5, atol=0)
    torch.testing.assert_close(ours.gradient_norms.double(), expected[1], rtol=1e-4, atol=vanishing)


def test_gradient_of_a_sure_student_does_not_cancel():
    # Both sides are sure of class 0, so that q X and g agree there to many digits.
    student, teacher = torch.tensor([[18.0, 0.0, 1.0]]), torch.tensor([[20.0, 1.0, 0.0]])
    norms = alpha_beta_grid(student, teacher, EVEN, EVEN).gradient_norms.double()
    torch.testing.assert_close(norms, point_by_point(student, teacher, EVEN, EVEN)[1], rtol=1e-4, atol=0)


def test_equal_rows_give_exact_zeros():
    rows = logits(5, 33).float()
    values, norms = alpha_beta_grid(rows, rows.clone(), EVEN, EVEN)
    assert (values == 0).all()
    assert (norms == 0).all()


@pytest.mark.parametrize("negative", [[], [-0.5]])
def test_classes_at_minus_infinity_count_as_the_divergence_has_it(negative):
    student, teacher = torch.randn(4, 6), torch.randn(4, 6)
    student[:3, 1], teacher[:3, 1] = -torch.inf, -torch.inf
    student[1, 2], teacher[2, 4] = -torch.inf, -torch.inf
    alphas, betas = [0.0, 0.5, 1.0, *negative], [0.0, 1.0, 0.5, *negative]
    values, norms = alpha_beta_grid(student, teacher, alphas, betas)
    expected = point_by_point(student, teacher, alphas, betas)
    torch.testing.assert_close(values.double(), expected[0], rtol=1e-5, atol=0)
    assert values.isposinf().any()
    # The divergence's own gradient stops at a large number.
    steep = torch.where(expected[1] < 1e12, expected[1], torch.inf)
    torch.testing.assert_close(norms.double(), steep, rtol=1e-5, atol=1e-6)
    assert norms.isposinf().any()


def test_classes_that_are_impossible_on_both_sides_cost_nothing_more(monkeypatch):
    left_over = []
    slowly = grid._compute_points
    monkeypatch.setattr(
        grid, "_compute_points", lambda plan, log_p, *more: left_over.append(len(log_p)) or slowly(plan, log_p, *more)
    )
    student, teacher = torch.randn(4, 6), torch.randn(4, 6)
    student[:, 1], teacher[:, 1], student[0, 2] = -torch.inf, -torch.inf, -torch.inf
    alpha_beta_grid(student, teacher, [0.5, -0.5], [0.5])
    assert left_over == [1]


def test_rows_and_classes_in_blocks_give_the_same(monkeypatch):
    student, teacher = logits(2, 5, 100), logits(2, 5, 100, seed=1)
    whole = alpha_beta_grid(student, teacher, EVEN, EVEN)
    monkeypatch.setattr(grid, "_MOST_ROWS", 3)
    monkeypatch.setitem(grid._ROW_ELEMENTS, "cpu", 37)
    monkeypatch.setattr(grid, "_DEFAULT_ROW_ELEMENTS", 37)
    parts = alpha_beta_grid(student, teacher, EVEN, EVEN)
    assert whole.values.shape == (2, 5, 7, 7)
    torch.testing.assert_close(parts.values, whole.values)
    torch.testing.assert_close(parts.gradient_norms, whole.gradient_norms)


def test_half_precision_is_promoted_and_the_setting_of_matrix_products_kept():
    student, teacher = torch.randn(3, 50).bfloat16(), torch.randn(3, 50)
    expected = alpha_beta_grid(student.float(), teacher, EVEN, EVEN)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu"):
            values, norms = alpha_beta_grid(student, teacher, EVEN, EVEN)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, expected.values)
    torch.testing.assert_close(norms, expected.gradient_norms)


def test_no_row_gives_an_empty_grid():
    values, norms = alpha_beta_grid(torch.empty(0, 5), torch.empty(0, 5), EVEN, EVEN)
    assert values.shape == norms.shape == (0, 7, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alphas": []}, r"`alphas` should hold one or more finite numbers. Found \[\]"),
        ({"betas": [math.nan]}, r"`betas` should hold one or more finite numbers. Found \[nan\]"),
        ({"temperature": 0.0}, "`temperature` should be finite and greater than 0. Found `temperature = 0.0`"),
        ({"teacher_logits": torch.zeros(2, 4)}, r"should have the same shape. Found \(2, 3\) and \(2, 4\)"),
    ],
)
def test_what_cannot_be_computed_is_refused(change, message):
    arguments = {"student_logits": torch.zeros(2, 3), "teacher_logits": torch.zeros(2, 3), "alphas": [1], "betas": [0]}
    with pytest.raises(ValueError, match=message):
        alpha_beta_grid(**arguments | change)


def test_points_close_to_a_limit_keep_their_digits():
    student, teacher = torch.randn(3, 5), torch.randn(3, 5)
    teacher[0, 1] = -torch.inf
    alphas, betas = [0.05, 1e-7, 0.0], [-0.04, 1e-7]
    found = alpha_beta_grid(student, teacher, alphas, betas)
    expected = point_by_point(student, teacher, alphas, betas)
    torch.testing.assert_close(found.values.double(), expected[0], rtol=1e-5, atol=1e-6)


def test_rows_with_logits_near_the_limit_of_the_dtype_are_as_the_divergence_has_them():
    student, teacher = (
        torch.tensor([[0.0, 1.0, -3e38], [1e38, 0.0, 5.0]]),
        torch.tensor([[1.0, 2.0, 0.0], [0.0, 1.0, -1e37]]),
    )
    found = alpha_beta_grid(student, teacher, [1.0, 0.0], [0.0, 0.5])
    expected = point_by_point(student, teacher, [1.0, 0.0], [0.0, 0.5])
    torch.testing.assert_close(found.values.double(), expected[0].float().double(), rtol=1e-5, atol=1e-6)
