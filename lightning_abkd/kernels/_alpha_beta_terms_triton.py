"""What the Triton kernel of the α-β-divergence computes of one block of classes; `_alpha_beta_triton` explains it."""

import triton
import triton.language as tl

_FAR = tl.constexpr(1e18)
LEAST = tl.constexpr(-3.4028234663852886e38)
# Below it logarithms are those of masks; no divergence takes notice of classes that both sides mask.
_EXCLUDED = tl.constexpr(-1e30)
# Lower logarithms have the same powers.
_LOWEST = tl.constexpr(-1e31)
LOG2E = tl.constexpr(1.4426950408889634)
# Bounds of half a gap times d, and of the widest gap times d, below which the series are used.
_PAIR_BOUND = tl.constexpr(0.5)
_TERM_BOUND = tl.constexpr(1.0)


@triton.jit
def sorted_nodes(
    a: tl.tensor, b: tl.tensor, total: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Sort 0, a and total: return the exponents of p and q at each of them, and the two gaps, without subtracting."""
    low_0, low_a = (a >= 0.0) & (total >= 0.0), (a < 0.0) & (b >= 0.0)
    high_0, high_a = (a <= 0.0) & (total <= 0.0), (a > 0.0) & (b <= 0.0)
    middle_0, middle_a = (low_0 | high_0) == 0, (low_a | high_a) == 0
    low_p = tl.where(low_0, 0.0, tl.where(low_a, a, total))
    low_q = tl.where(low_0, total, tl.where(low_a, b, 0.0))
    middle_p = tl.where(middle_0, 0.0, tl.where(middle_a, a, total))
    middle_q = tl.where(middle_0, total, tl.where(middle_a, b, 0.0))
    high_p = tl.where(high_0, 0.0, tl.where(high_a, a, total))
    high_q = tl.where(high_0, total, tl.where(high_a, b, 0.0))
    gap = tl.abs(tl.where(high_0, b, tl.where(high_a, total, a)))
    next_gap = tl.abs(tl.where(low_0, b, tl.where(low_a, total, a)))
    return low_p, low_q, middle_p, middle_q, high_p, high_q, gap, next_gap


@triton.jit
def difference(lower: tl.tensor, upper: tl.tensor, d: tl.tensor, gap: tl.tensor) -> tl.tensor:
    """Compute (upper - lower)/gap of powers a gap apart, for a small y = gap d/2 as d (upper + lower)/2 (tanh y)/y."""
    y = (gap * 0.5) * d
    near = tl.abs(y) < _PAIR_BOUND
    y = tl.where(near, y, 0.0)
    y2 = y * y
    # (tanh y)/(2 y), interpolated at the Chebyshev nodes of y² in [0, 0.25] to 1.3e-8.
    half = 0.49999999 - y2 * (0.16666534 - y2 * (0.06662375 - y2 * (0.02649212 - y2 * 0.00856567)))
    direct = (upper - lower) * (1.0 / tl.where(gap == 0.0, 1.0, gap))
    return tl.where(near, tl.where(d == 0.0, 0.0, d * (upper + lower)) * half, direct)


@triton.jit
def slope_of(
    u: tl.tensor, v: tl.tensor, d: tl.tensor, alpha: tl.tensor, beta: tl.tensor, total: tl.tensor, unit: tl.tensor
) -> tl.tensor:
    """Compute q^s (e^(αd) - 1)/α over 2^unit."""
    return difference(tl.exp2(v * total - unit), tl.exp2(u * alpha + v * beta - unit), d, alpha)


@triton.jit
def term_of(
    first: tl.tensor,
    last: tl.tensor,
    centre: tl.tensor,
    root: tl.tensor,
    d: tl.tensor,
    gap: tl.tensor,
    next_gap: tl.tensor,
) -> tl.tensor:
    """Compute root² (J12 - J01)/(m2 - m0); where the nodes are close, W d² exp[·, ·, ·] by its series at their mean."""
    span = gap + next_gap
    near = tl.abs(span * d) < _TERM_BOUND
    # The series is not used for a large d, whose powers would overflow.
    e = tl.where(near, d, 0.0)
    third = e * (1 / 3)
    x, y, z = -(gap + span) * third, (gap - next_gap) * third, (next_gap + span) * third
    square, cube = (x * x + y * y + z * z) * 0.5, x * y * z
    series = 0.5 + square * (1 / 24 + square * (1 / 720 + square * (1 / 40320)))
    series += cube * (1 / 120 + square * (1 / 2520) + cube * (1 / 40320))
    direct = root * ((last - first) * (1.0 / tl.where(span == 0.0, 1.0, span))) * root
    w = root * e
    return tl.where(near, tl.where(d == 0.0, 0.0, centre * (w * w)) * series, direct)


@triton.jit
def load_number(pointer: tl.tensor, stride: tl.tensor, row: tl.tensor) -> tl.tensor:
    """Load the number of a row; with a stride of 0 all rows share one."""
    return tl.load(pointer + row * stride).to(tl.float32)


@triton.jit
def load_logits(row: tl.tensor, stride: tl.tensor, columns: tl.tensor, classes: tl.tensor) -> tl.tensor:
    """Load logits of a row; columns after the last class act like classes that both sides exclude."""
    return tl.load(row + columns.to(tl.int64) * stride, mask=columns < classes, other=float("-inf")).to(tl.float32)


@triton.jit
def _unit(exponents: tl.tensor, classes: tl.tensor) -> tl.tensor:
    """Return the unit of a row's slopes: in units of the largest power and of V, their sum is finite."""
    largest = tl.max(exponents, 0)
    return tl.where(largest == LEAST, 0.0, largest) + tl.log2(tl.full([], 0.0, tl.float32) + classes)


@triton.jit
def compare(
    z: tl.tensor, y: tl.tensor, z_max: tl.tensor, y_max: tl.tensor, z_sum: tl.tensor, y_sum: tl.tensor, scale: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Compute u, v, d and whether a class counts; all are 0, as are term and slopes, where both sides exclude it."""
    alive = (z != float("-inf")) | (y != float("-inf"))
    z, y = tl.where(alive, z, z_max), tl.where(alive, y, y_max)
    binary = scale * LOG2E
    u, v = (y - y_max) * binary - tl.log2(y_sum), (z - z_max) * binary - tl.log2(z_sum)
    alive &= (u >= _EXCLUDED) | (v >= _EXCLUDED) | (u != u) | (v != v)
    # From differences of logits, since u - v would inherit the rounding of both.
    d = ((y - z) - (y_max - z_max)) * scale - tl.log(y_sum / z_sum)
    # Bounds act like -inf and inf, so that differences exist.
    d = tl.where(d == float("-inf"), -_FAR, tl.where(d == float("inf"), _FAR, d))
    u = tl.maximum(u, _LOWEST, propagate_nan=tl.PropagateNan.ALL)
    v = tl.maximum(v, _LOWEST, propagate_nan=tl.PropagateNan.ALL)
    return tl.where(alive, u, 0.0), tl.where(alive, v, 0.0), tl.where(alive, d, 0.0), alive


@triton.jit
def row_units(
    student: tl.tensor,
    teacher: tl.tensor,
    student_column: tl.tensor,
    teacher_column: tl.tensor,
    z_max: tl.tensor,
    y_max: tl.tensor,
    z_sum: tl.tensor,
    y_sum: tl.tensor,
    scale: tl.tensor,
    classes: tl.tensor,
    a: tl.tensor,
    b: tl.tensor,
    BLOCK: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor]:
    """Return the units of both slopes, which a sweep over the row finds where an exponent is negative."""
    unit, teacher_unit = tl.full([], 0.0, tl.float32), tl.full([], 0.0, tl.float32)
    if (a < 0.0) | (b < 0.0):
        total = a + b
        largest, teacher_largest = tl.zeros([BLOCK], tl.float32) + LEAST, tl.zeros([BLOCK], tl.float32) + LEAST
        for start in range(0, classes, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            z = load_logits(student, student_column, columns, classes)
            y = load_logits(teacher, teacher_column, columns, classes)
            u, v, d, _ = compare(z, y, z_max, y_max, z_sum, y_sum, scale)
            mixed = u * a + v * b
            largest = tl.maximum(largest, tl.where(d == 0.0, LEAST, tl.maximum(v * total, mixed)))
            teacher_largest = tl.maximum(teacher_largest, tl.where(d == 0.0, LEAST, tl.maximum(u * total, mixed)))
        unit, teacher_unit = _unit(largest, classes), _unit(teacher_largest, classes)
    return unit, teacher_unit
