"""The α-β-divergence and the norm of its gradient at all points of a grid, from sums over the classes of rows.

The formulas are those of `lightning_abkd.kernels._alpha_beta_grid`, here at T = 1 and in float64.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.kernels._grid_plan import GridPlan
from lightning_abkd.kernels._grid_sums import RowSums, is_far


class ValuesAndNorms(NamedTuple):
    """One tensor for the divergences and one for the norms of their gradients, both of shape (N, A, B)."""

    values: Tensor
    norms: Tensor


def grid_values(plan: GridPlan, sums: RowSums) -> ValuesAndNorms:
    """Compute the divergences and the norms of their gradients."""
    largest = _LargestClass(plan, sums)
    scale = _inverse(sums.square.new_tensor(plan.left)).unsqueeze(-1)
    differences, squares = sums.products.split(len(plan.left), 1)
    others = _CrossSums(plan, differences * scale)
    all_classes = _CrossSums(plan, others.table + largest.cross_terms())
    norms = _norms(plan, sums, largest, others, _CrossSums(plan, squares * scale.square()))
    return ValuesAndNorms(_values(plan, sums, largest, all_classes), norms)


def infinite_points(plan: GridPlan, one_sided: Tensor) -> ValuesAndNorms:
    """Return True where D, and where its gradient, is infinite.

    Args:
        plan: The plan of the grid.
        one_sided: `RowSums.one_sided`, shape (2, N).
    """
    student = one_sided[0, :, None, None]
    teacher = one_sided[1, :, None, None]
    alpha = torch.tensor(plan.grid.alphas, device=one_sided.device)[:, None]
    beta = torch.tensor(plan.grid.betas, device=one_sided.device)
    s = alpha + beta
    origin = (alpha == 0.0) & (beta == 0.0)
    values = teacher & ((alpha <= 0.0) | (s <= 0.0)) | student & ((beta <= 0.0) | (s <= 0.0))
    return ValuesAndNorms(values, teacher & (alpha <= 0.0) | student & ((beta < 0.0) | (s < 0.0) | origin))


def _inverse(x: Tensor) -> Tensor:
    """Compute 1/x, and 1 at x = 0, where the result is either unused or the factor of a limit."""
    return 1.0 / torch.where(x == 0.0, 1.0, x)


class _LargestClass:
    """The student's most probable class, whose terms are added in float64."""

    def __init__(self, plan: GridPlan, sums: RowSums) -> None:
        # A probability near 1 is most accurate as 1 minus the others.
        logs = torch.where(sums.rest < 0.5, torch.log1p(-sums.rest), sums.largest).unsqueeze(-1)
        self._plan = plan
        self._log_q = logs[0]
        self._d = logs[1] - logs[0]

    def power(self, exponents: Sequence[float]) -> Tensor:
        """Compute q^x, shape (N, len(exponents))."""
        return torch.exp(self._log_q * self._log_q.new_tensor(exponents))

    def difference(self, exponents: Sequence[float]) -> Tensor:
        """Compute f_x, shape (N, len(exponents))."""
        x = self._log_q.new_tensor(exponents)
        limit = self._d.masked_fill(is_far(self._d), 0.0)
        return torch.where(x == 0.0, limit, torch.expm1(x * self._d) * self.power(exponents) * _inverse(x))

    def cross_terms(self) -> Tensor:
        """Compute what the class adds to a table of `_CrossSums`, shape (N, left, columns)."""
        plan = self._plan
        copies = self.difference(plan.copies) * self._d.new_tensor([x or 1.0 for x in plan.copies])
        right = torch.cat([self.power(plan.right), copies], 1)
        right = torch.nn.functional.pad(right, (0, plan.columns - right.shape[1]))
        return self.difference(plan.left).unsqueeze(-1) * right.unsqueeze(1)


class _CrossSums:
    """Sums of products with the differences f_a of the left side (or their squares), looked up by exponent.

    Args:
        plan: The plan of the grid.
        table: Shape (N, left, columns).
    """

    def __init__(self, plan: GridPlan, table: Tensor) -> None:
        self.table = table
        self._plan = plan

    def at(self, alphas: Sequence[float], betas: Sequence[float]) -> Tensor:
        """Return Σ f_a q^b for some a and b, shape (N, len(alphas), len(betas))."""
        return self.table[:, self._plan.left_rows(alphas)][:, :, self._plan.right_columns(betas)]

    def with_power(self, x: float) -> Tensor:
        """Return Σ f_a q^x for all left a, shape (N, left)."""
        return self.table[:, :, self._plan.right_column(x)]

    def with_left_powers(self, x: float) -> Tensor:
        """Return Σ f_x q^a for all left a, shape (N, left)."""
        return self.table[:, self._plan.left_row(x), self._plan.right_columns(self._plan.left)]

    def with_difference(self, x: float) -> Tensor:
        """Return Σ f_a f_x for all left a, shape (N, left), where x has a copy."""
        return self.table[:, :, self._plan.copy_column(x)] * (1.0 / x if x else 1.0)


def _values(plan: GridPlan, sums: RowSums, largest: _LargestClass, cross: _CrossSums) -> Tensor:
    """Compute D from the form that suits each point."""
    grid = plan.grid
    values = _far_values(plan, sums, largest, cross)
    for column, beta in enumerate(grid.betas):
        near = [grid.is_near(alpha, beta) for alpha in grid.alphas]
        if any(near):
            mask = torch.tensor(near, device=values.device)
            values[:, :, column] = torch.where(mask, _near_values(plan, cross, beta), values[:, :, column])
    return values.clamp(min=0.0)


def _far_values(plan: GridPlan, sums: RowSums, largest: _LargestClass, cross: _CrossSums) -> Tensor:
    """Compute (Σ f_(α + β) - X(α, β)) / β, shape (N, A, B); points near β = 0 hold any number."""
    grid = plan.grid
    alone = sums.differences * _inverse(sums.square.new_tensor(plan.sums)) + largest.difference(plan.sums)
    totals = torch.cat([alone, cross.with_power(0.0), _joined(plan, cross)], 1)
    exponents = [*plan.sums, *plan.left, *(grid.total(x, grid.pivot) for x in plan.left)]
    where = [[0 if grid.is_near(a, b) else exponents.index(grid.total(a, b)) for b in grid.betas] for a in grid.alphas]
    differences = totals[:, where] - cross.at(grid.alphas, grid.betas)
    return differences * _inverse(sums.square.new_tensor(grid.betas))


def _joined(plan: GridPlan, cross: _CrossSums) -> Tensor:
    """Compute Σ f_(a + c) = (a Σ f_a q^c + c (Σ f_c q^a + a Σ f_a f_c)) / (a + c) for the pivot c and all left a."""
    a = cross.table.new_tensor(plan.left)
    c = plan.grid.pivot
    joined = a * cross.with_power(c) + c * (cross.with_left_powers(c) + a * cross.with_difference(c))
    return joined * _inverse(a + c)


def _near_values(plan: GridPlan, cross: _CrossSums, beta: float) -> Tensor:
    """Compute (X(β, α) - X(α, β) + α Σ f_α f_β) / (α + β) at one β and all α, shape (N, A)."""
    alpha = cross.table.new_tensor(plan.left)
    total = alpha + beta
    product = cross.with_difference(beta)
    numerator = cross.with_left_powers(beta) - cross.with_power(beta) + alpha * product
    # At the origin D = ½ Σ (log p - log q)².
    values = torch.where(total == 0.0, product / 2.0, numerator * _inverse(total))
    return values[:, plan.left_rows(plan.grid.alphas)]


def _norms(plan: GridPlan, sums: RowSums, largest: _LargestClass, others: _CrossSums, squares: _CrossSums) -> Tensor:
    """Compute the norm of the gradient q X - g, g = f_α q^β, the most probable class apart from the others.

    That class has q X - g = q X' - (1 - q) g, where X' = Σ g over the others.
    """
    alphas = plan.grid.alphas
    betas = plan.grid.betas
    cross = others.at(alphas, betas)
    shifted = others.at(alphas, [plan.grid.total(beta, 1.0) for beta in betas])
    doubled = squares.at(alphas, [plan.grid.total(beta, beta) for beta in betas])
    top = largest.difference(alphas).unsqueeze(-1) * largest.power(betas).unsqueeze(1)
    own = largest.power([1.0]).unsqueeze(-1) * cross - sums.rest[0, :, None, None] * top
    cross = cross + top
    rest = cross.square() * sums.square[:, None, None] - 2.0 * cross * shifted + doubled
    return (own.square() + rest.clamp(min=0.0)).sqrt()
