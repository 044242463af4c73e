import pytest

from lightning_abkd._utils import row_slices


@pytest.mark.parametrize(("columns", "size"), [(1, 12), (3, 4), (100, 1), (0, 12)])
def test_slices_fit_the_budget_and_cover_all_rows(columns, size):
    parts = list(row_slices(20, columns, elements=12))
    assert parts[0] == slice(0, size)
    assert [row for part in parts for row in range(20)[part]] == list(range(20))


def test_slices_are_multiples_where_they_fit():
    assert next(row_slices(20, columns=1, elements=11, multiple=4)) == slice(0, 8)
    assert next(row_slices(20, columns=1, elements=3, multiple=4)) == slice(0, 3)


def test_no_rows_are_no_slices():
    assert not list(row_slices(0, columns=5, elements=10))
