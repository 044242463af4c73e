"""Sums over the classes of rows that all points of a grid are made of, block by block of rows and classes.

Tables hold one power or one difference per exponent; `GridPlan.build` draws their rows. The student's most probable
class is kept apart, because the gradient of a very confident student almost cancels there.
"""

import functools
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.functional import excluded_by_both
from lightning_abkd.kernels._grid_plan import SMALL, GridPlan

# Acts like infinity in every power, and its square still fits in float32.
_FAR = 1e15
# Logarithm of a probability that counts as 0 and whose powers, negative ones too, are finite.
_ABSENT = -80.0


def is_far(d: Tensor) -> Tensor:
    """Return True where a difference of logarithms stands for an infinite one."""
    return d.abs() > _FAR / 2.0


class _Exponential(NamedTuple):
    """Powers that are exponentials of logarithms: of q, and of p too if `sides` is 2."""

    exponent: float
    sides: int
    power: Tensor


class _Multiplication(NamedTuple):
    """Powers that are the product of two others."""

    power: Tensor
    first: Tensor
    second: Tensor


class _Powers:
    """The table of powers q^x and p^x, shape (2, rows of the plan, n, classes), and the steps that fill it."""

    def __init__(self, plan: GridPlan, shape: torch.Size, like: Tensor) -> None:
        self.table = like.new_empty((2, plan.rows.right.stop, *shape))
        self.student = self.table[0]
        self.teacher = self.table[1]
        of_exponent = {x: self.table[:, row] for row, x in enumerate(plan.rows.exponents)}
        of_exponent[0.0].fill_(1.0)
        self.student[plan.rows.padding] = 0.0
        self.probabilities = of_exponent[1.0]
        # Powers of p are computed only where a difference needs them.
        sides = {x: 2 if x in plan.of_teacher else 1 for x in of_exponent}
        self._exponentials = [_Exponential(x, sides[x], of_exponent[x][: sides[x]]) for x in plan.recipe.exponentials]
        self._multiplications = [
            _Multiplication(*(of_exponent[x][: sides[product.exponent]] for x in product))
            for product in plan.recipe.products
        ]

    def fill(self, logs: Tensor) -> None:
        """Compute the powers from log q and log p, shape (2, n, classes)."""
        for exponential in self._exponentials:
            torch.mul(logs[: exponential.sides], exponential.exponent, out=exponential.power).exp_()
        for product in self._multiplications:
            torch.mul(product.first, product.second, out=product.power)


class _SmallDifference(NamedTuple):
    """A difference p^x - q^x that would cancel: it is q^x expm1(x d), and d = log p - log q at x = 0."""

    exponent: float
    difference: Tensor
    student_power: Tensor

    def fill(self, logs: Tensor, one_sided: bool) -> None:
        """Replace the difference of the powers."""
        difference = self.difference
        of_powers = difference.clone() if one_sided else None
        torch.sub(logs[1], logs[0], out=difference)
        # No finite result depends on an infinite d: there p^x - q^x stays, which is 0 for x = 0.
        far = is_far(difference) if one_sided else None
        if self.exponent:
            difference.mul_(self.exponent).expm1_().mul_(self.student_power)
        if of_powers is not None and far is not None:
            difference.copy_(torch.where(far, of_powers, difference))


class _Copy(NamedTuple):
    """A difference that is on the right of the matrix product too."""

    copy: Tensor
    difference: Tensor


class _Differences:
    """The table of differences x f_x = p^x - q^x, and of the squares of those on the left, and the steps to fill it."""

    def __init__(self, plan: GridPlan, powers: _Powers) -> None:
        rows = plan.rows
        count = rows.differences.stop
        exponents = rows.exponents[rows.differences]
        table = powers.student.new_empty((count + len(plan.left), *powers.student.shape[1:]))
        self.table = table
        self._all = table[rows.differences]
        self._left = table[rows.left]
        self._squares = table[count:]
        self._student = powers.student[rows.differences]
        self._teacher = powers.teacher[rows.differences]
        self._small = [
            _SmallDifference(x, table[row], powers.student[row]) for row, x in enumerate(exponents) if abs(x) < SMALL
        ]
        copies = zip(powers.student[rows.copies], plan.copies, strict=True)
        self._copies = [_Copy(copy, table[exponents.index(x)]) for copy, x in copies]

    def fill(self, logs: Tensor, one_sided: bool) -> None:
        """Compute the differences from the powers and, for small exponents, from log q and log p."""
        torch.sub(self._teacher, self._student, out=self._all)
        for small in self._small:
            small.fill(logs, one_sided)
        torch.mul(self._left, self._left, out=self._squares)
        for pair in self._copies:
            pair.copy.copy_(pair.difference)


class BlockSums(NamedTuple):
    """What a block of classes adds to the sums of its rows.

    Args:
        products: Differences and their squares times powers and copies, shape (n, 2 left, columns).
        differences: Differences alone, shape (n, sums).
        rest: Σ q and Σ p, shape (2, n).
        square: Σ q², shape (n,).
    """

    products: Tensor
    differences: Tensor
    rest: Tensor
    square: Tensor


class BlockTables:
    """The tables of one block of rows and classes, and the sums over its classes.

    All views of the tables are made once, so that a small block costs little more than its arithmetic.

    Args:
        plan: The plan of the grid.
        shape: Rows and classes of the block.
        like: A tensor of the wanted dtype and device.
    """

    def __init__(self, plan: GridPlan, shape: torch.Size, like: Tensor) -> None:
        self._powers = _Powers(plan, shape, like)
        self._differences = _Differences(plan, self._powers)
        self._summed = self._differences.table[plan.rows.sums]
        self._left = self._differences.table[plan.rows.left.start :].transpose(0, 1)
        self._right = self._powers.student[plan.rows.right].permute(1, 2, 0)

    def sum(self, logs: Tensor, one_sided: bool) -> BlockSums:
        """Sum over the classes of a block.

        Args:
            logs: log q and log p, shape (2, n, classes).
            one_sided: Whether a class may be at -inf on one side alone.

        Returns:
            What the block adds to the sums of its rows.
        """
        self._powers.fill(logs)
        self._differences.fill(logs, one_sided)
        products = torch.bmm(self._left, self._right)
        probabilities = self._powers.probabilities
        square = torch.linalg.vecdot(probabilities[0], probabilities[0])
        return BlockSums(products, self._summed.sum(-1).T, probabilities.sum(-1), square)


class RowSums:
    """The sums of rows (N,) over all classes but the student's most probable one, and that class.

    Args:
        plan: The plan of the grid.
        rows: N, the number of rows.
        width: Number of classes of a block.
        device: Where the logits are.

    Attributes:
        products: As `BlockSums.products`, shape (N, 2 left, columns).
        differences: As `BlockSums.differences`, shape (N, sums).
        rest: Σ q and Σ p without the most probable class, shape (2, N).
        square: Σ q² without it, shape (N,).
        largest: log q and log p of the most probable class, shape (2, N).
        one_sided: Whether a class is at -inf for the student alone, and for the teacher alone, shape (2, N).
        extreme: Whether a logarithm is finite but so low that sums of products would overflow, shape (N,).
    """

    def __init__(self, plan: GridPlan, rows: int, width: int, device: torch.device) -> None:
        zeros = functools.partial(torch.zeros, dtype=torch.float64, device=device)
        self.products = zeros(rows, 2 * len(plan.left), plan.columns)
        self.differences = zeros(rows, len(plan.sums))
        self.rest = zeros(2, rows)
        self.square = zeros(rows)
        self.largest = zeros(2, rows)
        self.one_sided = torch.zeros((2, rows), dtype=torch.bool, device=device)
        self.extreme = torch.zeros(rows, dtype=torch.bool, device=device)
        self._plan = plan
        self._width = width
        self._tables: dict[torch.Size, BlockTables] = {}

    def add(self, rows: slice, logs: Tensor) -> None:
        """Add rows from log q and log p, shape (2, n, V), which are changed in place."""
        one_sided = bool(logs.amin() < -_FAR)
        if one_sided:
            self._bound(rows, logs)
        top = logs[:1].argmax(-1, keepdim=True).expand(2, -1, -1)
        self.largest[:, rows] = logs.gather(-1, top).squeeze(-1).double()
        logs.scatter_(-1, top, _ABSENT)
        for block in logs.split(self._width, -1):
            sums = self._tables_of(block).sum(block, one_sided)
            self.products[rows] += sums.products
            self.differences[rows] += sums.differences
            self.rest[:, rows] += sums.rest
            self.square[rows] += sums.square

    def _bound(self, rows: slice, logs: Tensor) -> None:
        """Mark rows with a class that is impossible on one side alone, and replace -inf by numbers that act like it."""
        absent = excluded_by_both(*logs)
        low = (logs < -_FAR) & ~absent
        missing = logs.isneginf() & low
        self.one_sided[:, rows] = missing.any(-1)
        self.extreme[rows] = (low & ~missing).any(-1).any(0)
        logs.clamp_(min=-_FAR).masked_fill_(absent, _ABSENT)

    def _tables_of(self, block: Tensor) -> BlockTables:
        shape = block.shape[1:]
        if shape not in self._tables:
            self._tables[shape] = BlockTables(self._plan, shape, block)
        return self._tables[shape]
