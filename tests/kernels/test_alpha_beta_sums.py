import pytest
import torch

from lightning_abkd import kernels
from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels._alpha_beta_sums import AlphaBetaSums
from tests._asserts import CASES, gradient_error, logits, relative_error

POINTS = sorted({(case["alpha"], case["beta"]) for case in CASES})
SUITED = [point for point in POINTS if AlphaBetaSums.suits(*point)]


@pytest.mark.parametrize(("each", "bound"), [(True, 1e-5), (False, 1e-4)])
def test_a_value_that_is_given_is_right(each, bound):
    given = 0
    for case in (case for case in CASES if (case["alpha"], case["beta"]) in SUITED):
        student, teacher = (torch.tensor([case[f"{side}_logits"]]) for side in ("student", "teacher"))
        gradient = torch.full_like(student, torch.nan)
        sums = AlphaBetaSums(case["alpha"], case["beta"], case["temperature"], each)
        value = sums(student, teacher, gradient)
        if value is not None:
            given += 1
            assert relative_error(value.item(), case) <= bound
            assert gradient_error(gradient[0], case) <= 2e-6
    assert given >= (20 if each else 30)


@pytest.mark.parametrize("distance", [0.0, 1e-4, 1e-2])
@pytest.mark.parametrize(("alpha", "beta"), SUITED)
def test_close_rows_are_refused(alpha, beta, distance):
    student = logits(4, 33).float()
    teacher = student + distance * logits(4, 33, seed=1).float()
    assert AlphaBetaSums(alpha, beta)(student, teacher, torch.empty(4, 33)) is None


def test_one_close_row_is_refused_where_each_counts():
    student, teacher = logits(4, 33).float(), logits(4, 33, seed=1).float()
    teacher[2] = student[2]
    assert AlphaBetaSums(0.5, 0.5, each=True)(student, teacher) is None
    assert AlphaBetaSums(0.5, 0.5)(student, teacher) is not None


@pytest.mark.parametrize(("alpha", "beta"), [(-0.5, 0.5), (0.0, 0.0), (0.01, 0.99), (0.99, 0.01), (0.1, 0.1)])
def test_exponents_whose_quotients_cancel_do_not_suit(alpha, beta):
    assert not AlphaBetaSums.suits(alpha, beta)


@pytest.mark.parametrize("point", [(0.2, 0.7), (1.0, 0.0), (0.0, 1.0)])
def test_infinite_and_missing_numbers_are_refused_or_right(point):
    student, teacher = logits(4, 9).float(), logits(4, 9, seed=1).float()
    assert AlphaBetaSums(*point)(student, teacher.index_fill(1, torch.tensor(3), torch.nan)) is None
    student[:, 3] = -torch.inf
    values = AlphaBetaSums(*point)(student, teacher)
    expected = alpha_beta_divergence(teacher.log_softmax(-1), student.log_softmax(-1), *point)
    assert values is None or torch.allclose(values, expected)


def test_value_needs_no_gradient_and_the_gradient_takes_a_factor():
    student, teacher = logits(4, 9).float(), logits(4, 9, seed=1).float()
    sums, once, thrice = AlphaBetaSums(0.2, 0.7, 2.0), torch.empty(4, 9), torch.empty(4, 9)
    values = sums(student, teacher, once)
    torch.testing.assert_close(sums(student, teacher), values)
    sums(student, teacher, thrice, 3.0)
    torch.testing.assert_close(thrice, 3.0 * once)


def test_a_common_shift_of_the_logits_changes_nothing():
    student, teacher = logits(4, 9).float(), logits(4, 9, seed=1).float()
    # Integers of this size leave the logits' own digits alone.
    student, teacher = (student * 64).round() / 64, (teacher * 64).round() / 64
    shifted = AlphaBetaSums(0.2, 0.7)(student + 4096, teacher - 4096)
    torch.testing.assert_close(shifted, AlphaBetaSums(0.2, 0.7)(student, teacher))


def test_old_public_name_warns():
    with pytest.warns(DeprecationWarning, match="kernels.AlphaBetaSums is now .*_alpha_beta_sums.AlphaBetaSums"):
        assert kernels.AlphaBetaSums is AlphaBetaSums
