r"""The α-β-divergence and the norm of its gradient over a whole grid of (α, β), from one read of the logits.

Everything is a sum of products. With f_x = (p^x - q^x)/x, f_0 = log p - log q, s = α + β and X(α, β) = Σ f_α q^β,

    D = (Σ f_s - X(α, β)) / β = (X(β, α) - X(α, β) + α Σ f_α f_β) / s,
    ‖∂D/∂z‖² = (X² Σ q² - 2 X Σ f_α q^(β+1) + Σ f_α² q^(2β)) / T².

The second form of D has no singularity at β = 0. So a few powers of p and q, most of them products of two others, and
one matrix product of tables of them serve all points of the grid; every sum is exactly 0 where p = q.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.functional import alpha_beta_divergence

# Exponents that agree to so many digits are one.
_DIGITS = 12
# p^x - q^x cancels for a smaller |x|: it comes from expm1, and D from the form that does not divide by it.
_SMALL = 0.1
# Acts like infinity in every power, and its square is a float32.
_FAR = 1e15
# Logarithm of a probability that counts as 0 and whose powers, negative ones too, are finite.
_ABSENT = -80.0
# Elements of a row of the tables: on a processor the tables should fit in the cache.
_ROW_ELEMENTS = {"cpu": 50 << 10}
_DEFAULT_ROW_ELEMENTS = 1 << 20
# The sums of a row take a few KiB: of so many rows they are kept at once.
_MOST_ROWS = 1 << 13
# Matrix products are fastest with a multiple of so many columns.
_COLUMNS = 8


class AlphaBetaGrid(NamedTuple):
    """Divergences and norms of their gradients, both of shape (..., A, B) for A values of α and B of β."""

    values: Tensor
    gradient_norms: Tensor


class _Plan:
    """Which powers are needed, how each is made, and in which row of the tables it is."""

    def __init__(self, alphas: Sequence[float], betas: Sequence[float]) -> None:
        self._known = {0.0: 0.0, 1.0: 1.0}
        self.alphas, self.betas = ([self.total(float(x)) for x in exponents] for exponents in (alphas, betas))
        small = {beta for beta in self.betas if abs(beta) < _SMALL}
        # With the products Σ f_a f_c at hand, a sum Σ f_(a + c) is known too: one c saves many.
        self.pivot = max(self.alphas, key=abs)
        self.copies = sorted(small | {self.pivot})
        left = {*self.alphas, *small}
        joined = {self.total(a, self.pivot) for a in left} - {0.0}
        sums = {self.total(a, b) for a in self.alphas for b in self.betas if not self.near(a, b)} - left - joined
        right = {self.total(0.0), self.total(1.0), *left}
        right.update(x for b in self.betas for x in (b, self.total(b, b), self.total(b, 1.0)))
        # Rows of differences come first, rows of the matrix product's right side last, each without a gap.
        groups = [sorted(group) for group in (sums - right, sums & right, left, right - left - sums)]
        self.sums, self.left = groups[0] + groups[1], groups[2]
        self.exponents = [x for group in groups for x in group]
        self.row = {x: i for i, x in enumerate(self.exponents)}
        self.first_right = len(groups[0])
        self.first_copy = len(self.exponents) - self.first_right
        self.columns = -(-(self.first_copy + len(self.copies)) // _COLUMNS) * _COLUMNS
        self.totals = [*self.sums, *self.left, *(self.total(x, self.pivot) for x in self.left)]
        self.direct, self.products = self._recipe()
        self.of_teacher = {1.0, *self.sums, *self.left}
        for x, *factors in reversed(self.products):
            self.of_teacher.update(factors if x in self.of_teacher else ())

    def total(self, *exponents: float) -> float:
        """Sum exponents; what differs by rounding alone is one exponent."""
        return self._known.setdefault(round(sum(exponents), _DIGITS), sum(exponents))

    def near(self, alpha: float, beta: float) -> bool:
        """Tell whether D comes from the form that does not divide by β."""
        return abs(beta) < _SMALL and (self.total(alpha, beta) != 0.0 or beta == 0.0)

    def columns_of(self, exponents: Sequence[float]) -> list[int]:
        """Give the columns of q^x in the matrix product."""
        return [self.row[x] - self.first_right for x in exponents]

    def rows_of(self, exponents: Sequence[float]) -> list[int]:
        """Give the rows of f_x in the matrix product."""
        return [self.row[x] - len(self.sums) for x in exponents]

    def _recipe(self) -> tuple[list[float], list[tuple[float, float, float]]]:
        """Part the exponents into those that take an exponential and those that are the sum of two others."""
        known: list[float] = []
        direct, products = [], []
        for x in sorted(self.exponents, key=abs):
            pairs = [(a, self.total(x, -a)) for a in known if a * x > 0 and self.total(x, -a) in known]
            if pairs:
                # The most even pair keeps chains of products, and with them rounding, short.
                products.append((x, *min(pairs, key=lambda pair: abs(pair[0] - pair[1]))))
            elif x:
                direct.append(x)
            known.append(x)
        return direct, products


class _Tables:
    """Powers of q and p, x f_x, and squares of these, one row an exponent, for one block of classes."""

    def __init__(self, plan: _Plan, shape: torch.Size, like: Tensor) -> None:
        sums, count = len(plan.sums), len(plan.sums) + len(plan.left)
        powers = like.new_empty((2, plan.first_right + plan.columns, *shape))
        differences = like.new_empty((count + len(plan.left), *shape))
        powers[:, plan.row[0.0]] = 1.0
        q, p = powers
        q[len(plan.row) + len(plan.copies) :] = 0.0
        # Of p only those powers are made that a difference is taken of.
        sides = {x: 2 if x in plan.of_teacher else 1 for x in plan.exponents}
        of_row = {x: powers[: sides[x], i] for x, i in plan.row.items()}
        self._exponentials = [(x, sides[x], of_row[x]) for x in plan.direct]
        self._products = [(of_row[x], of_row[a][: sides[x]], of_row[b][: sides[x]]) for x, a, b in plan.products]
        self._difference = p[:count], q[:count], differences[:count]
        self._square = differences[sums:count], differences[count:]
        self._small = [(x, differences[i], q[i]) for x, i in plan.row.items() if abs(x) < _SMALL and i < count]
        self._copies = [(q[len(plan.row) + i], differences[plan.row[x]]) for i, x in enumerate(plan.copies)]
        self._matrices = differences[sums:].transpose(0, 1), q[plan.first_right :].permute(1, 2, 0)
        self._summed, self._ones, self._q = differences[:sums], of_row[1.0], q[plan.row[1.0]]

    def sums(self, logs: Tensor, alone: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Compute the parts of `_Sums` from log q and log p (2, rows, classes), `alone`: some of them on one side."""
        for x, sides, power in self._exponentials:
            torch.mul(logs[:sides], x, out=power).exp_()
        for power, first, second in self._products:
            torch.mul(first, second, out=power)
        torch.sub(self._difference[0], self._difference[1], out=self._difference[2])
        for x, difference, power in self._small:
            plain = difference.clone() if alone else None
            torch.sub(logs[1], logs[0], out=difference)
            if x:
                difference.mul_(x).expm1_().mul_(power)
            if plain is not None:
                # An infinite distance is in no finite result: there p^x - q^x stays, which is 0 for x = 0.
                difference.copy_(torch.where(_is_far(logs[1] - logs[0]), plain, difference))
        torch.mul(self._square[0], self._square[0], out=self._square[1])
        for copy, difference in self._copies:
            copy.copy_(difference)
        rest, square = self._ones.sum(-1), torch.linalg.vecdot(self._q, self._q)
        return torch.bmm(*self._matrices), self._summed.sum(-1).T, rest, square


class _Sums:
    """What the rows (N,) of all chunks add up to, without the student's most probable class, and that class."""

    def __init__(self, plan: _Plan, rows: int, device: torch.device) -> None:
        # products: x f_x and (x f_x)² with q^x and x f_x; sums: x f_x alone; rest: Σ q and Σ p; square: Σ q².
        zeros = functools.partial(torch.zeros, dtype=torch.float64, device=device)
        self.products, self.sums = zeros(rows, 2 * len(plan.left), plan.columns), zeros(rows, len(plan.sums))
        self.rest, self.square, self.peak = zeros(2, rows), zeros(rows), zeros(2, rows)
        # Rows with a class at -inf for the student or the teacher alone.
        self.alone = torch.zeros((2, rows), dtype=torch.bool, device=device)

    def add(self, rows: slice, logs: Tensor, width: int, tables: Callable[[torch.Size], _Tables]) -> None:
        """Add rows from log q and log p, shape (2, n, V), which are changed in place."""
        alone = bool(logs.amin() == -torch.inf)
        if alone:
            missing = logs.isneginf()
            self.alone[:, rows] = (missing & ~missing.flip(0)).any(-1)
            logs.clamp_(min=-_FAR).masked_fill_(missing.all(0), _ABSENT)
        # A student that is sure of a class has a gradient that all but cancels there: that class is added exactly.
        top = logs[:1].argmax(-1, keepdim=True).expand(2, -1, -1)
        self.peak[:, rows] = logs.gather(-1, top).squeeze(-1).double()
        logs.scatter_(-1, top, _ABSENT)
        for block in logs.split(width, -1):
            products, sums, rest, square = tables(block.shape[1:]).sums(block, alone)
            self.products[rows] += products
            self.sums[rows] += sums
            self.rest[:, rows] += rest
            self.square[rows] += square


def _is_far(d: Tensor) -> Tensor:
    return d.abs() > _FAR / 2.0


def _inverse(x: Tensor) -> Tensor:
    """Compute 1/x, and 1 at 0, where it is not used or the factor is a limit's."""
    return 1.0 / torch.where(x == 0.0, 1.0, x)


class _Peak:
    """The powers of the one class that is added in float64."""

    def __init__(self, sums: _Sums) -> None:
        # Near 1 a probability is known best by what it lacks.
        logs = torch.where(sums.rest < 0.5, torch.log1p(-sums.rest), sums.peak).unsqueeze(-1)
        self.log_q, self.d = logs[0], logs[1] - logs[0]

    def power(self, exponents: Sequence[float]) -> Tensor:
        """Compute q^x, shape (N, len(exponents))."""
        return torch.exp(self.log_q * self.log_q.new_tensor(exponents))

    def difference(self, exponents: Sequence[float]) -> Tensor:
        """Compute f_x, shape (N, len(exponents))."""
        x = self.log_q.new_tensor(exponents)
        limit = self.d.masked_fill(_is_far(self.d), 0.0)
        return torch.where(x == 0.0, limit, torch.expm1(x * self.d) * self.power(exponents) * _inverse(x))

    def columns(self, plan: _Plan) -> Tensor:
        """Compute what the class has in the columns of the matrix product, shape (N, columns)."""
        copies = self.difference(plan.copies) * self.d.new_tensor([x or 1.0 for x in plan.copies])
        filled = torch.cat([self.power(plan.exponents[plan.first_right :]), copies], 1)
        return torch.nn.functional.pad(filled, (0, plan.columns - filled.shape[1]))


def _finish(plan: _Plan, sums: _Sums) -> tuple[Tensor, Tensor]:
    """Compute D and the norms at T = 1, both (N, A, B)."""
    peak, left, alpha_rows = _Peak(sums), plan.left, plan.rows_of(plan.alphas)
    exponents, beta = (sums.square.new_tensor(x) for x in (left, plan.betas))
    scale = _inverse(exponents).unsqueeze(-1)
    others, squares = (x * y for x, y in zip(sums.products.split(len(left), 1), (scale, scale.square()), strict=True))
    f = peak.difference(left).unsqueeze(-1)
    all_classes = others + f * peak.columns(plan).unsqueeze(1)

    def pairs(x: float) -> tuple[Tensor, Tensor, Tensor]:
        """Give X(a, x), X(x, a) and Σ f_a f_x for all left a, each (N, left)."""
        row, column, copy = plan.rows_of([x])[0], plan.columns_of([x])[0], plan.first_copy + plan.copies.index(x)
        swapped = all_classes[:, row, plan.columns_of(left)]
        return all_classes[:, :, column], swapped, all_classes[:, :, copy] * scale[row]

    x, x_swapped, product = pairs(plan.pivot)
    joined = exponents * x + plan.pivot * (x_swapped + exponents * product)
    totals = [sums.sums * _inverse(sums.square.new_tensor(plan.sums)) + peak.difference(plan.sums)]
    totals += [all_classes[:, :, plan.columns_of([0.0])[0]], joined * _inverse(exponents + plan.pivot)]
    where = [[0 if plan.near(a, b) else plan.totals.index(plan.total(a, b)) for b in plan.betas] for a in plan.alphas]
    cross = all_classes[:, alpha_rows][:, :, plan.columns_of(plan.betas)]
    values = (torch.cat(totals, 1)[:, where] - cross) * _inverse(beta)
    for column, small in enumerate(plan.betas):
        near = [i for i, alpha in enumerate(plan.alphas) if plan.near(alpha, small)]
        if near:
            x, x_swapped, product = pairs(small)
            total = exponents + small
            value = torch.where(total == 0.0, product / 2.0, (x_swapped - x + exponents * product) * _inverse(total))
            values[:, near, column] = value[:, [alpha_rows[i] for i in near]]
    return values.clamp(min=0.0), _norms(plan, sums, peak, others, squares)


def _norms(plan: _Plan, sums: _Sums, peak: _Peak, others: Tensor, squares: Tensor) -> Tensor:
    """Compute ‖(q_k X - g_k)_k‖, the most probable class apart: q X - g = q X' - (1 - q) g, X' of the others."""

    def at(table: Tensor, exponents: Sequence[float]) -> Tensor:
        return table[:, plan.rows_of(plan.alphas)][:, :, plan.columns_of(exponents)]

    x, shifted = at(others, plan.betas), at(others, [plan.total(b, 1.0) for b in plan.betas])
    doubled = at(squares, [plan.total(b, b) for b in plan.betas])
    top = peak.difference(plan.alphas).unsqueeze(-1) * peak.power(plan.betas).unsqueeze(1)
    own = peak.power([1.0]).unsqueeze(-1) * x - sums.rest[0, :, None, None] * top
    x = x + top
    rest = x.square() * sums.square[:, None, None] - 2.0 * x * shifted + doubled
    return (own.square() + rest.clamp(min=0.0)).sqrt()


def _infinite(plan: _Plan, alone: Tensor) -> tuple[Tensor, Tensor]:
    """Tell where D and its gradient are infinite, (N, A, B), in rows with a class at -inf on one side."""
    student, teacher = alone[:, :, None, None]
    alpha, beta = torch.tensor(plan.alphas, device=alone.device)[:, None], torch.tensor(plan.betas, device=alone.device)
    s, origin = alpha + beta, (alpha == 0.0) & (beta == 0.0)
    values = teacher & ((alpha <= 0.0) | (s <= 0.0)) | student & ((beta <= 0.0) | (s <= 0.0))
    return values, teacher & (alpha <= 0.0) | student & ((beta < 0.0) | (s < 0.0) | origin)


def _one_by_one(plan: _Plan, student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Compute D and the norms at T = 1 point by point, whatever the logits."""
    log_p, student = teacher.log_softmax(-1), student.detach().requires_grad_()
    values, norms = [], []
    for alpha, beta in itertools.product(plan.alphas, plan.betas):
        with torch.enable_grad():
            value = alpha_beta_divergence(log_p, student.log_softmax(-1), alpha, beta)
            norms.append(torch.autograd.grad(value.sum(), student)[0].norm(dim=-1))
        values.append(value.detach())
    shape = len(student), len(plan.alphas), len(plan.betas)
    return torch.stack(values, -1).view(shape), torch.stack(norms, -1).view(shape)


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep matrix products and powers in float32, whatever training is set to: differences are taken of them."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _shape_of_blocks(rows: int, classes: int, device: str) -> tuple[int, int]:
    """Give how many rows and classes are worked off at once."""
    elements = _ROW_ELEMENTS.get(device, _DEFAULT_ROW_ELEMENTS)
    width = -(-classes // -(-classes // elements))
    # Threads share the matrix products of the rows.
    return min(rows, max(torch.get_num_threads(), elements // width)), width


def _check(student_logits: Tensor, teacher_logits: Tensor, temperature: float, **grid: Sequence[float]) -> None:
    shapes = tuple(student_logits.shape), tuple(teacher_logits.shape)
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"`student_logits` and `teacher_logits` should have one shape. Found {shapes[0]} and {shapes[1]}."
        )
    if not 0.0 < temperature < math.inf:
        raise ValueError(f"Parameter `temperature` should be finite and greater than 0. Found {temperature}.")
    for name, exponents in grid.items():
        if not exponents or not all(map(math.isfinite, exponents)):
            raise ValueError(f"Parameter `{name}` should be finite numbers, at least one. Found {list(exponents)}.")


def _of_rows(
    plan: _Plan, student: Tensor, teacher: Tensor, temperature: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Compute D and the norms, (N, A, B) in float64, of logits (N, V)."""

    def scaled(logits: Tensor) -> Tensor:
        return logits.to(dtype) / temperature if temperature != 1.0 else logits.to(dtype)

    rows, classes = student.shape
    size, width = _shape_of_blocks(rows, classes, student.device.type)
    sums = _Sums(plan, rows, student.device)
    buffer = torch.empty((2, size, classes), dtype=dtype, device=student.device)
    tables = functools.cache(lambda shape: _Tables(plan, shape, buffer))
    for start in range(0, rows, size):
        chunk = slice(start, min(start + size, rows))
        logs = buffer[:, : chunk.stop - start]
        for logits, log in zip((student, teacher), logs, strict=True):
            torch._log_softmax(scaled(logits[chunk]), -1, False, out=log)
        sums.add(chunk, logs, width, tables)
    values, norms = _finish(plan, sums)
    if min(plan.exponents) < 0.0:
        failed = ~(values.isfinite() & norms.isfinite()).flatten(1).all(1)
        values[failed], norms[failed] = _one_by_one(plan, scaled(student[failed]), scaled(teacher[failed]))
    infinite, steep = _infinite(plan, sums.alone)
    return values.masked_fill(infinite, torch.inf), norms.masked_fill(steep, torch.inf) / temperature


@torch.no_grad()
def alpha_beta_grid(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alphas: Sequence[float],
    betas: Sequence[float],
    temperature: float = 1.0,
) -> AlphaBetaGrid:
    r"""α-β-divergence of every row, and the norm of its gradient by the student's logits, for all α and β.

    The same numbers as `lightning_abkd.functional.alpha_beta_divergence` at each point, at the price of a few of them:
    least where exponents are sums of others, as on an even grid that holds 0 and 1. Rows and classes are worked off in
    blocks, so that nothing of the logits' size is kept.

    Sums are subtracted from each other here. In float32 the error of D is about 1e-6 of Σ q^(α+β) |log p - log q|, over
    |α + β| where that is small but not 0: little, unless the student is within a few hundredths of a nat of its
    teacher; D is 0 where they are equal. A norm below about 1e-3 of ‖(p^α q^β - q^(α+β))/α‖, that of a gradient which
    cancels between the less probable classes, is known to no digit. Give float64 logits where that matters. A grid with
    a negative exponent is computed in float64; rows that overflow there, or have a class at -inf on one side alone,
    are computed point by point.

    Args:
        student_logits: Shape (..., V), any floating dtype.
        teacher_logits: Same shape.
        alphas: A values of α, any finite numbers.
        betas: B values of β, any finite numbers.
        temperature: T > 0; both logits are divided by it.

    Returns:
        Values and Euclidean norms of the gradient by the student's logits, both of shape (..., A, B) and at least
        float32. Both are +inf where a class at -inf on one side makes them so. Neither has a gradient.

    Raises:
        ValueError: If the shapes differ, the temperature is not positive, or an exponent is missing or not finite.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> values, norms = alpha_beta_grid(student, teacher, alphas=[0.0, 1.0], betas=[0.0, 1.0])
        >>> values[0, 1, 0].item(), norms[0, 1, 0].item()  # forward KL; √2 · 0.3808
        (0.4337..., 0.5385...)
    """
    _check(student_logits, teacher_logits, temperature, alphas=alphas, betas=betas)
    plan, lead = _Plan(alphas, betas), student_logits.shape[:-1]
    result = functools.reduce(torch.promote_types, (student_logits.dtype, teacher_logits.dtype), torch.float32)
    dtype = torch.float64 if min(plan.exponents) < 0.0 else result
    student, teacher = (x.reshape(-1, x.shape[-1]) for x in (student_logits, teacher_logits))
    values = torch.empty((2, len(student), len(alphas), len(betas)), dtype=result, device=student.device)
    with torch.autocast(student.device.type, enabled=False), _full_precision():
        for start in range(0, len(student), _MOST_ROWS):
            rows = slice(start, start + _MOST_ROWS)
            for table, part in zip(
                values, _of_rows(plan, student[rows], teacher[rows], temperature, dtype), strict=True
            ):
                table[rows] = part
    return AlphaBetaGrid(*values.view(2, *lead, len(alphas), len(betas)))
