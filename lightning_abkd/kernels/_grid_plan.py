"""The plan of a grid of (α, β): which powers of p and q it needs, how each is made, and in which row it stands.

The formulas are those of `lightning_abkd.kernels._alpha_beta_grid`.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

# Exponents that agree to this many decimals are treated as equal.
_DIGITS = 12
# p^x - q^x cancels for smaller |x|: it comes from expm1 there, and D from the form that does not divide by β.
SMALL = 0.1
# Dividing by a smaller |α + β|, |α| or |β| other than 0 leaves too few correct digits.
_SMALLEST_TOTAL = 0.02
_SMALLEST = 1e-3
# Matrix products are fastest if the number of columns is a multiple of this.
_COLUMNS = 8


class GridExponents:
    """The exponents α and β of a grid, and sums of them, in which rounding never splits one exponent into two.

    Attributes:
        alphas: The values of α.
        betas: The values of β.
        small_betas: Those β that D is not divided by.
        pivot: The exponent c whose products Σ f_a f_c give Σ f_(a + c) for every a without another row.
    """

    def __init__(self, alphas: Iterable[float], betas: Iterable[float]) -> None:
        self._known = {0.0: 0.0, 1.0: 1.0}
        self.alphas = [self.total(float(alpha)) for alpha in alphas]
        self.betas = [self.total(float(beta)) for beta in betas]
        self.small_betas = {beta for beta in self.betas if abs(beta) < SMALL}
        self.pivot = max(self.alphas, key=abs)

    def total(self, *exponents: float) -> float:
        """Add exponents and return the number that stands for all sums which differ from it by rounding alone."""
        return self._known.setdefault(round(sum(exponents), _DIGITS), sum(exponents))

    def is_near(self, alpha: float, beta: float) -> bool:
        """Return True if D comes from the form that divides by α + β, not from the one that divides by β."""
        return abs(beta) < SMALL and (self.total(alpha, beta) != 0.0 or beta == 0.0)

    def loses_digits(self, alpha: float, beta: float) -> bool:
        """Return True if rounding errors of the sums are divided by an exponent that is close to 0 but not 0."""
        close = self.is_near(alpha, beta) and 0.0 < abs(self.total(alpha, beta)) < _SMALLEST_TOTAL
        return close or 0.0 < abs(alpha) < _SMALLEST or 0.0 < abs(beta) < _SMALLEST

    def far_totals(self) -> set[float]:
        """Return the α + β of all points where D is divided by β, for which it needs Σ f_(α + β)."""
        return {self.total(a, b) for a in self.alphas for b in self.betas if not self.is_near(a, b)}

    def powers_of_student(self) -> list[float]:
        """Return the exponents β, 2 β and β + 1 of the powers of q that value and norm multiply differences by."""
        return [x for beta in self.betas for x in (beta, self.total(beta, beta), self.total(beta, 1.0))]


@dataclass(frozen=True)
class TableRows:
    """The rows of the tables, by exponent and by what they are for; `GridPlan.build` draws them.

    Attributes:
        exponents: Exponent of each row that has one.
        sums: Rows of differences that are only summed over classes.
        left: Rows of differences that are the left factor of the matrix product.
        differences: Rows that have a difference at all: `sums` and `left`.
        right: Rows that are the right factor of the matrix product.
        copies: Rows into which differences are copied, so that the right factor has them.
        padding: Rows of zeros.
    """

    exponents: list[float]
    sums: slice
    left: slice
    differences: slice
    right: slice
    copies: slice
    padding: slice

    @classmethod
    def arrange(cls, sums: set[float], left: set[float], right: set[float], copies: int) -> "TableRows":
        """Order the rows so that each of the ranges is one slice; the left exponents are among the right ones."""
        only_sums = sorted(sums - right)
        shared_sums = sorted(sums & right)
        only_right = sorted(right - left - sums)
        exponents = [*only_sums, *shared_sums, *sorted(left), *only_right]
        first_right = len(only_sums)
        first_left = first_right + len(shared_sums)
        after_left = first_left + len(left)
        first_copy = len(exponents)
        after_copies = first_copy + copies
        end = after_copies + (first_right - after_copies) % _COLUMNS
        return cls(
            exponents,
            sums=slice(0, first_left),
            left=slice(first_left, after_left),
            differences=slice(0, after_left),
            right=slice(first_right, end),
            copies=slice(first_copy, after_copies),
            padding=slice(after_copies, end),
        )


class Product(NamedTuple):
    """A power that is the product of two others: q^exponent = q^first q^second."""

    exponent: float
    first: float
    second: float


class PowerRecipe(NamedTuple):
    """How the powers are made: by exponentials, then by products in this order."""

    exponentials: list[float]
    products: list[Product]


@dataclass(frozen=True)
class GridPlan:
    """Which powers a grid needs, how each is made, and in which row of the tables it stands.

    Attributes:
        grid: The exponents of the grid and their sums.
        rows: The rows of the tables.
        copies: Exponents of the differences that are a right factor too, in the order of their rows.
        recipe: How the powers are made.
        of_teacher: Exponents of the powers that are needed of p too, not only of q.
    """

    grid: GridExponents
    rows: TableRows
    copies: list[float]
    recipe: PowerRecipe
    of_teacher: set[float]

    @classmethod
    def build(cls, alphas: Sequence[float], betas: Sequence[float]) -> "GridPlan":
        """Plan a grid.

        Every exponent x has one row: of q^x and p^x in the table of powers, of x f_x = p^x - q^x in that of
        differences. The matrix product multiplies the differences of `left`, and their squares, by the rows of `right`
        in the student's table of powers::

            rows of the table of powers            ranges of rows
            ──────────────────────────────         ───────────────────────────────────────
            exponents of sums alone                sums    differences
            sums that the right side has too       sums    differences     right
            left side, all on the right too        left    differences     right
            right side alone                                               right
            differences, copied                    copies                  right
            zeros                                  padding                 right

        Args:
            alphas: Values of α.
            betas: Values of β.

        Returns:
            The plan.
        """
        grid = GridExponents(alphas, betas)
        copies = sorted(grid.small_betas | {grid.pivot})
        left = {*grid.alphas, *grid.small_betas}
        # Σ f_x of a left x is its product with q^0, and products give Σ f_(x + pivot): both need no sum of their own.
        joined = {grid.total(x, grid.pivot) for x in left} - {0.0}
        sums = grid.far_totals() - left - joined
        right = {0.0, 1.0, *left, *grid.powers_of_student()}
        rows = TableRows.arrange(sums, left, right, len(copies))
        recipe = _recipe(rows.exponents, grid.total)
        return cls(grid, rows, copies, recipe, _powers_of_teacher({1.0, *sums, *left}, recipe))

    @property
    def has_negative_exponent(self) -> bool:
        """Whether a power may overflow."""
        return min(self.rows.exponents) < 0.0

    @property
    def columns(self) -> int:
        """Number of columns of the matrix product, one per row of its right side."""
        width: int = self.rows.right.stop - self.rows.right.start
        return width

    @functools.cached_property
    def sums(self) -> list[float]:
        """Exponents of the differences that are only summed over classes."""
        return self.rows.exponents[self.rows.sums]

    @functools.cached_property
    def left(self) -> list[float]:
        """Exponents of the differences on the left of the matrix product."""
        return self.rows.exponents[self.rows.left]

    @functools.cached_property
    def right(self) -> list[float]:
        """Exponents of the powers on the right of the matrix product; copies of differences follow there."""
        return self.rows.exponents[self.rows.right]

    def left_row(self, exponent: float) -> int:
        """Return the row of the matrix product that the difference of an exponent has."""
        return self.left.index(exponent)

    def left_rows(self, exponents: Sequence[float]) -> list[int]:
        """Return the rows of the matrix product that the differences of exponents have."""
        return [self.left.index(x) for x in exponents]

    def right_column(self, exponent: float) -> int:
        """Return the column of the matrix product that the power of an exponent has."""
        return self.right.index(exponent)

    def right_columns(self, exponents: Sequence[float]) -> list[int]:
        """Return the columns of the matrix product that the powers of exponents have."""
        return [self.right.index(x) for x in exponents]

    def copy_column(self, exponent: float) -> int:
        """Return the column of the matrix product that the copy of a difference has."""
        return len(self.right) + self.copies.index(exponent)


def _recipe(exponents: Sequence[float], total: Callable[..., float]) -> PowerRecipe:
    """Divide exponents into those that need an exponential and those that are the sum of two others."""
    recipe = PowerRecipe([], [])
    known: list[float] = []
    for x in sorted(exponents, key=abs):
        pairs = [(a, total(x, -a)) for a in known if a * x > 0.0]
        pairs = [pair for pair in pairs if pair[1] in known]
        if pairs:
            # The most even pair keeps chains of products, and with them rounding, short.
            recipe.products.append(Product(x, *min(pairs, key=lambda pair: abs(pair[0] - pair[1]))))
        elif x:
            recipe.exponentials.append(x)
        known.append(x)
    return recipe


def _powers_of_teacher(wanted: set[float], recipe: PowerRecipe) -> set[float]:
    """Add to the wanted exponents those of the factors that their powers are made of."""
    needed = set(wanted)
    for product in reversed(recipe.products):
        if product.exponent in needed:
            needed.update((product.first, product.second))
    return needed
