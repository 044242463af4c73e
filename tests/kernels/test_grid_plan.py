import pytest

from lightning_abkd.kernels._grid_plan import GridExponents, GridPlan, Product

EVEN = [i / 6 for i in range(7)]
GRIDS = [(EVEN, EVEN), ([2.7, 0.2, 1e-3, 0.0], [0.7, 1e-6, 0.31, 0.0]), ([-1.0, 0.3], [-0.05, 0.4]), ([0.0], [0.0])]
every_grid = pytest.mark.parametrize(("alphas", "betas"), GRIDS)


def test_sums_that_differ_by_rounding_are_one_exponent():
    grid = GridExponents([0.3], [0.1])
    assert 0.1 + 0.2 != 0.3
    assert grid.total(0.1, 0.2) == 0.3


def test_points_near_beta_0_are_not_divided_by_beta():
    grid = GridExponents([0.5, 0.0], [0.05, 0.0, 0.5])
    assert [grid.is_near(0.5, beta) for beta in grid.betas] == [True, True, False]
    assert grid.far_totals() == {0.5, 1.0}


def test_points_whose_total_is_0_are_divided_by_beta():
    assert not GridExponents([-0.05], [0.05]).is_near(-0.05, 0.05)
    assert GridExponents([0.0], [0.0]).is_near(0.0, 0.0)


def test_even_grid_takes_one_exponential_and_no_sum_of_its_own():
    plan = GridPlan.build(EVEN, EVEN)
    assert plan.recipe.exponentials == [EVEN[1]]
    assert plan.sums == []
    # Seven powers and those of 7/6 to 12/6, copies of f_0 and f_1, and a row of zeros.
    assert (len(plan.right), plan.copies, plan.columns) == (13, [0.0, 1.0], 16)


def test_powers_are_products_of_the_most_even_pair():
    plan = GridPlan.build([0.25, 0.5, 1.0], [0.25])
    assert plan.recipe.exponentials == [0.25]
    assert plan.recipe.products[-1] == Product(1.25, 0.5, 0.75)
    assert [product.exponent for product in plan.recipe.products] == [0.5, 0.75, 1.0, 1.25]


@every_grid
def test_every_power_is_made_once_and_after_its_factors(alphas, betas):
    plan = GridPlan.build(alphas, betas)
    made = [0.0, *plan.recipe.exponentials]
    for product in plan.recipe.products:
        assert product.first in made
        assert product.second in made
        assert plan.grid.total(product.first, product.second) == product.exponent
        made.append(product.exponent)
    assert sorted(made) == sorted(plan.rows.exponents)


@every_grid
def test_powers_of_the_teacher_include_those_they_are_made_of(alphas, betas):
    plan = GridPlan.build(alphas, betas)
    assert {1.0, *plan.sums, *plan.left} <= plan.of_teacher
    for product in plan.recipe.products:
        assert product.exponent not in plan.of_teacher or {product.first, product.second} <= plan.of_teacher


@every_grid
def test_ranges_of_rows_follow_each_other(alphas, betas):
    rows = GridPlan.build(alphas, betas).rows
    assert rows.sums.start == rows.differences.start == 0
    assert rows.sums.stop == rows.left.start
    assert rows.left.stop == rows.differences.stop
    assert rows.copies.start == len(rows.exponents)
    assert rows.copies.stop == rows.padding.start
    assert rows.padding.stop == rows.right.stop
    assert (rows.right.stop - rows.right.start) % 8 == 0


@every_grid
def test_what_the_points_need_has_a_row(alphas, betas):
    plan = GridPlan.build(alphas, betas)
    grid = plan.grid
    assert {*grid.alphas, *grid.small_betas} == set(plan.left)
    assert {0.0, 1.0, *plan.left, *grid.powers_of_student()} <= set(plan.right)
    joined = {grid.total(x, grid.pivot) for x in plan.left}
    assert grid.far_totals() <= {*plan.sums, *plan.left, *joined, 0.0}


def test_rows_and_columns_are_looked_up_by_exponent():
    plan = GridPlan.build([0.5, 0.3], [0.7])
    assert plan.left == [0.3, 0.5]
    assert plan.left_rows([0.5, 0.3]) == [1, 0] == [plan.left_row(0.5), plan.left_row(0.3)]
    assert plan.right_columns([0.5]) == [plan.rows.exponents.index(0.5) - plan.rows.right.start]
    assert plan.right_columns([0.5]) == [plan.right_column(0.5)]
    assert plan.copy_column(0.5) == plan.rows.copies.start - plan.rows.right.start


def test_a_negative_exponent_is_known():
    assert GridPlan.build([0.5], [-0.1]).has_negative_exponent
    assert not GridPlan.build([0.5], [0.1]).has_negative_exponent


def test_points_close_to_a_limit_but_not_on_it_lose_digits():
    grid = GridExponents([0.0, 0.05, 1e-7, 1.0], [0.0, -0.04, 0.5])
    assert grid.loses_digits(0.05, -0.04)
    assert grid.loses_digits(1e-7, 0.5)
    assert not grid.loses_digits(0.0, 0.0)
    assert not grid.loses_digits(1.0, 0.5)
