r"""The α-β-divergence and the norm of its gradient over a whole grid of (α, β), from one read of the logits.

Everything is a sum of products. Let z be the student's logits, T the temperature, p = softmax(teacher's logits / T) and
q = softmax(z / T). With

.. math::

    f_x = \frac{p^x - q^x}{x}, \qquad f_0 = \log p - \log q, \qquad X(\alpha, \beta) = \sum f_\alpha q^\beta

and s = α + β, value and norm are

.. math::

    D &= \frac{\sum f_s - X(\alpha, \beta)}{\beta}
        = \frac{X(\beta, \alpha) - X(\alpha, \beta) + \alpha \sum f_\alpha f_\beta}{s} \\
    \Big\| \frac{\partial D}{\partial z} \Big\|^2 &= \frac{1}{T^2} \Big( X(\alpha, \beta)^2 \sum q^2
        - 2 X(\alpha, \beta) \sum f_\alpha q^{\beta + 1} + \sum f_\alpha^2 q^{2 \beta} \Big)

The second form of D has no singularity at β = 0. So all points of the grid need only a few powers of p and q, most of
them products of two others, and one matrix product of tables of these powers. Every sum is exactly 0 where p = q.

`_grid_plan` chooses the powers, `_grid_sums` sums over classes, `_grid_values` computes D and the norms from the sums.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd._utils import check_positive, check_same_shape, row_slices
from lightning_abkd.functional import alpha_beta_value_and_gradients
from lightning_abkd.kernels._grid_plan import GridPlan
from lightning_abkd.kernels._grid_sums import RowSums
from lightning_abkd.kernels._grid_values import ValuesAndNorms, grid_values, infinite_points

# Elements of a row of the tables: on a CPU the tables should fit in the cache.
_ROW_ELEMENTS = {"cpu": 50 << 10}
_DEFAULT_ROW_ELEMENTS = 1 << 20
# The sums of a row take a few KiB. They are kept for at most this many rows at once.
_MOST_ROWS = 1 << 13


class AlphaBetaGrid(NamedTuple):
    """Divergences and norms of their gradients, both of shape (..., A, B) for A values of α and B of β.

    Example: see `alpha_beta_grid`.
    """

    values: Tensor
    gradient_norms: Tensor


@torch.no_grad()
def alpha_beta_grid(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alphas: Sequence[float],
    betas: Sequence[float],
    temperature: float = 1.0,
) -> AlphaBetaGrid:
    r"""Compute the α-β-divergence of every row, and the norm of its gradient, for all α and β of a grid.

    .. math::

        D_{\alpha_i, \beta_j}(p \| q) \quad \text{and} \quad
        \Big\| \frac{\partial D_{\alpha_i, \beta_j}(p \| q)}{\partial z} \Big\|_2,
        \qquad p = \mathrm{softmax}(y / T), \quad q = \mathrm{softmax}(z / T)

    where:

    - z, y -> `student_logits`, `teacher_logits`.
    - α_i -> `alphas`: any finite numbers.
    - β_j -> `betas`: any finite numbers.
    - T -> `temperature`: greater than 0. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses 4 for
      CIFAR-100 and 1 for language models.

    D is `lightning_abkd.functional.alpha_beta_divergence`. The grid costs as much as a few single points. It is
    cheapest where exponents are sums of others, as on an even grid that contains 0 and 1. Rows and classes are
    processed in blocks, so that nothing of the logits' size is kept.

    Sums are subtracted from each other here. In float32 the error of D is about 1e-6 of Σ q^s |log p - log q| with
    s = α + β, divided by |s| where that is small but not 0. That is little, unless the student is within a few
    hundredths of a nat of its teacher. D is 0 where they are equal. A norm below about 1e-3 of ‖(p^α q^β - q^s)/α‖ has
    no correct digit: there the gradient cancels between the less probable classes. Pass float64 logits where that
    matters. A grid with a negative exponent is computed in float64. Rows that overflow, and points
    close to but not on a limit, are computed one by one.

    Args:
        student_logits: Shape (..., V), any floating dtype.
        teacher_logits: Same shape.
        alphas: A values of α.
        betas: B values of β.
        temperature: T > 0; both logits are divided by it.

    Returns:
        Values and Euclidean norms of the gradient with respect to the student's logits, both of shape (..., A, B) and
        at least float32. Both are +inf where a class at -inf on one side makes them so. Neither has a gradient.

    Raises:
        ValueError: If the shapes differ, the temperature is not positive, or `alphas` or `betas` is empty or not
            finite.

    Example:
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> values, norms = alpha_beta_grid(student, teacher, alphas=[0.0, 1.0], betas=[0.0, 1.0])
        >>> values[0, 1, 0].item(), norms[0, 1, 0].item()  # forward KL; √2 · 0.3808
        (0.4337..., 0.5385...)
    """
    _check(student_logits, teacher_logits, temperature, alphas=alphas, betas=betas)
    plan = GridPlan.build(alphas, betas)
    result = functools.reduce(torch.promote_types, (student_logits.dtype, teacher_logits.dtype), torch.float32)
    dtype = torch.float64 if plan.has_negative_exponent else result
    classes = student_logits.shape[-1]
    student = student_logits.reshape(-1, classes)
    teacher = teacher_logits.reshape(-1, classes)
    both = torch.empty((2, len(student), len(alphas), len(betas)), dtype=result, device=student.device)
    with torch.autocast(student.device.type, enabled=False), _full_precision():
        for rows in row_slices(len(student), 1, _MOST_ROWS):
            part = _grid_of_rows(plan, student[rows], teacher[rows], temperature, dtype)
            both[0, rows] = part.values
            both[1, rows] = part.norms
    return AlphaBetaGrid(*both.view(2, *student_logits.shape[:-1], len(alphas), len(betas)))


def _check(student_logits: Tensor, teacher_logits: Tensor, temperature: float, **grid: Sequence[float]) -> None:
    check_same_shape(student_logits, teacher_logits)
    check_positive("temperature", temperature)
    for name, exponents in grid.items():
        if not exponents or not all(map(math.isfinite, exponents)):
            raise ValueError(f"Parameter `{name}` should hold one or more finite numbers. Found {list(exponents)}.")


def _grid_of_rows(
    plan: GridPlan, student: Tensor, teacher: Tensor, temperature: float, dtype: torch.dtype
) -> ValuesAndNorms:
    """Compute D and the norms, (N, A, B) in float64, of logits (N, V)."""
    rows, classes = student.shape
    size, width = _block_shape(rows, classes, student.device.type)
    sums = RowSums(plan, rows, width, student.device)
    buffer = torch.empty((2, size, classes), dtype=dtype, device=student.device)
    for chunk in row_slices(rows, 1, size):
        logs = buffer[:, : chunk.stop - chunk.start]
        torch._log_softmax(_scaled(student[chunk], temperature, dtype), -1, False, out=logs[0])
        torch._log_softmax(_scaled(teacher[chunk], temperature, dtype), -1, False, out=logs[1])
        sums.add(chunk, logs)
    found = grid_values(plan, sums)
    points = list(itertools.product(range(len(plan.grid.alphas)), range(len(plan.grid.betas))))
    lost = [(i, j) for i, j in points if plan.grid.loses_digits(plan.grid.alphas[i], plan.grid.betas[j])]
    failed = sums.extreme | ~(found.values.isfinite() & found.norms.isfinite()).flatten(1).all(1)
    for these, where in ((slice(None), lost), (failed, points if failed.any() else [])):
        if where:
            log_p = _scaled(teacher[these], temperature, dtype).log_softmax(-1)
            log_q = _scaled(student[these], temperature, dtype).log_softmax(-1)
            _compute_points(plan, log_p, log_q, these, where, found)
    infinite = infinite_points(plan, sums.one_sided)
    values = found.values.masked_fill(infinite.values, torch.inf)
    return ValuesAndNorms(values, found.norms.masked_fill(infinite.norms, torch.inf) / temperature)


def _scaled(logits: Tensor, temperature: float, dtype: torch.dtype) -> Tensor:
    """Divide logits by T; for T < 1 the quotients could overflow, so that the largest is subtracted first."""
    logits = logits.to(dtype)
    if temperature == 1.0:
        return logits
    return (logits if temperature > 1.0 else logits - logits.amax(-1, keepdim=True)) / temperature


def _block_shape(rows: int, classes: int, device: str) -> tuple[int, int]:
    """Return how many rows and classes are processed at once."""
    elements = _ROW_ELEMENTS.get(device, _DEFAULT_ROW_ELEMENTS)
    blocks = -(-classes // elements)
    width = -(-classes // blocks)
    # Threads share the matrix products of the rows.
    return min(rows, max(torch.get_num_threads(), elements // width)), width


def _compute_points(
    plan: GridPlan,
    log_p: Tensor,
    log_q: Tensor,
    rows: slice | Tensor,
    points: list[tuple[int, int]],
    found: ValuesAndNorms,
) -> None:
    """Compute D and the norms at T = 1 of some rows and points, one point after the other, whatever the logarithms."""
    for i, j in points:
        exact = alpha_beta_value_and_gradients(log_p, log_q, plan.grid.alphas[i], plan.grid.betas[j])
        # In units of the largest component, whose square may overflow.
        unit = exact.student.abs().amax(-1)
        shares = exact.student / unit.clamp(min=torch.finfo(unit.dtype).tiny).unsqueeze(-1)
        norms = (shares.norm(dim=-1) * unit).masked_fill(unit == torch.inf, torch.inf)
        found.values[rows, i, j] = exact.value.double()
        found.norms[rows, i, j] = norms.double()


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep matrix products in float32 whatever training has set, since their results are subtracted."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
