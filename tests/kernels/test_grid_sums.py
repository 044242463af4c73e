import pytest
import torch

from lightning_abkd.kernels._grid_plan import GridPlan
from lightning_abkd.kernels._grid_sums import RowSums
from tests._asserts import log_probabilities

PLAN = GridPlan.build([0.3, 0.05, 0.0], [0.7, 0.0])


def filled(log_p, log_q, width=100, plan=PLAN):
    sums = RowSums(plan, len(log_q), width, log_q.device)
    sums.add(slice(0, len(log_q)), torch.stack([log_q, log_p]))
    return sums


def difference(log_p, log_q, x):
    """Compute x f_x = p^x - q^x, and log p - log q at x = 0."""
    return (x * log_p).exp() - (x * log_q).exp() if x else log_p - log_q


@pytest.fixture
def pair():
    return log_probabilities(5, 12), log_probabilities(5, 12, seed=1)


def others(log_p, log_q):
    """Leave out the student's most probable class."""
    keep = torch.ones_like(log_q, dtype=torch.bool).scatter_(-1, log_q.argmax(-1, keepdim=True), False)
    return log_p[keep].view(len(log_p), -1), log_q[keep].view(len(log_q), -1)


@pytest.mark.parametrize("x", PLAN.left)
@pytest.mark.parametrize("power", PLAN.right)
def test_products_are_sums_over_the_other_classes(pair, x, power):
    log_p, log_q = others(*pair)
    row, column, sums = PLAN.left_row(x), PLAN.right_column(power), filled(*pair)
    f, q = difference(log_p, log_q, x), (power * log_q).exp()
    torch.testing.assert_close(sums.products[:, row, column], (f * q).sum(-1), rtol=1e-10, atol=1e-14)
    squares = sums.products[:, len(PLAN.left) + row, column]
    torch.testing.assert_close(squares, (f.square() * q).sum(-1), rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("x", PLAN.copies)
def test_copies_give_products_of_two_differences(pair, x):
    log_p, log_q = others(*pair)
    for row, y in enumerate(PLAN.left):
        expected = (difference(log_p, log_q, x) * difference(log_p, log_q, y)).sum(-1)
        found = filled(*pair).products[:, row, PLAN.copy_column(x)]
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


def test_sums_of_differences_and_of_probabilities(pair):
    log_p, log_q = others(*pair)
    plan = GridPlan.build([0.3, 0.5], [0.7, 1.9])
    sums = filled(*pair, plan=plan)
    assert plan.sums
    expected = torch.stack([difference(log_p, log_q, x).sum(-1) for x in plan.sums], -1)
    torch.testing.assert_close(sums.differences, expected)
    torch.testing.assert_close(sums.rest, torch.stack([log_q.exp().sum(-1), log_p.exp().sum(-1)]))
    torch.testing.assert_close(sums.square, log_q.exp().square().sum(-1))


def test_the_most_probable_class_of_the_student_is_kept(pair):
    top = pair[1].argmax(-1, keepdim=True)
    expected = torch.stack([pair[1].gather(-1, top), pair[0].gather(-1, top)]).squeeze(-1)
    torch.testing.assert_close(filled(*pair).largest, expected, rtol=0, atol=0)


def test_blocks_of_classes_add_up(pair):
    whole, parts = filled(*pair), filled(*pair, width=5)
    torch.testing.assert_close(parts.products, whole.products)
    torch.testing.assert_close(parts.rest, whole.rest)


def test_padding_adds_nothing(pair):
    zeros = len(PLAN.right) + len(PLAN.copies)
    assert zeros < PLAN.columns
    assert (filled(*pair).products[:, :, zeros:] == 0).all()


def test_rows_with_a_class_missing_on_one_side_are_noted(pair):
    log_p, log_q = pair
    log_p[0, 3] = log_q[0, 3] = log_q[1, 4] = log_p[2, 5] = -torch.inf
    sums = filled(log_p, log_q)
    assert sums.one_sided.tolist() == [[False, True, False, False, False], [False, False, True, False, False]]
    assert sums.products.isfinite().all()


def test_a_class_missing_on_both_sides_adds_nothing(pair):
    log_p, log_q = others(*pair)
    missing = torch.full((5, 1), -torch.inf, dtype=torch.float64)
    sides = [torch.cat([x[:, :4], missing, x[:, 4:]], 1) for x in pair]
    torch.testing.assert_close(filled(*sides).products, filled(*pair).products)
