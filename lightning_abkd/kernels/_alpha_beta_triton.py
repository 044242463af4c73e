"""Triton kernel of the α-β-divergence from logits: one program per row, which sweeps over its classes in blocks.

The first sweep finds the normalisers, the second sums terms and slopes, the third writes the gradient. The second runs
backwards, so that it starts with what is still in the cache. With u = log2 p, v = log2 q, d = log p - log q, the powers
of a class at the sorted nodes m0 <= m1 <= m2 among 0, α and s = α + β are W_i = q^s (p/q)^m_i, that is q^s, p^α q^β and
p^s. The term is their second divided difference (J12 - J01)/(m2 - m0), J_ij = (W_j - W_i)/(m_j - m_i). The slope is the
difference between the nodes 0 and α. Where a difference cancels, its series replaces it; for p = q it is 0.
"""

import triton
import triton.language as tl

_FAR = tl.constexpr(1e18)
_NONE_YET = tl.constexpr(-1e30)
_LOG2E = tl.constexpr(1.4426950408889634)
# Bounds of the squares of half a gap times d, and of the widest gap times d, below which the series are used.
_PAIR_BOUND = tl.constexpr(0.25)
_TERM_BOUND = tl.constexpr(1.0)


@triton.jit
def _ordered(node: tl.tensor, total: tl.tensor) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Sort 0, node and total."""
    smaller, larger = tl.minimum(node, total), tl.maximum(node, total)
    return tl.minimum(smaller, 0.0), tl.maximum(smaller, tl.minimum(larger, 0.0)), tl.maximum(larger, 0.0)


@triton.jit
def _power(u: tl.tensor, v: tl.tensor, node: tl.tensor, total: tl.tensor) -> tl.tensor:
    """Compute q^total (p/q)^node, accurate also where one of p and q is tiny."""
    return tl.exp2(u * node + v * (total - node))


@triton.jit
def _difference(lower: tl.tensor, upper: tl.tensor, d: tl.tensor, gap: tl.tensor) -> tl.tensor:
    """Compute (upper - lower)/gap of powers a gap apart, for a small y = gap d/2 as d (upper + lower)/2 (tanh y)/y."""
    y2 = (gap * gap * 0.25) * (d * d)
    # (tanh y)/(2 y), interpolated at the Chebyshev nodes of y² in [0, 0.25] to 1.3e-8.
    half = 0.49999999 - y2 * (0.16666534 - y2 * (0.06662375 - y2 * (0.02649212 - y2 * 0.00856567)))
    direct = (upper - lower) * (1.0 / tl.where(gap == 0.0, 1.0, gap))
    return tl.where(y2 < _PAIR_BOUND, tl.where(d == 0.0, 0.0, d * (upper + lower)) * half, direct)


@triton.jit
def _slope(u: tl.tensor, v: tl.tensor, d: tl.tensor, alpha: tl.tensor, total: tl.tensor) -> tl.tensor:
    """Compute q^s (e^(αd) - 1)/α."""
    return _difference(_power(u, v, 0.0, total), _power(u, v, alpha, total), d, alpha)


@triton.jit
def _term(
    first: tl.tensor,
    last: tl.tensor,
    centre: tl.tensor,
    d: tl.tensor,
    low: tl.tensor,
    middle: tl.tensor,
    high: tl.tensor,
) -> tl.tensor:
    """Compute (J12 - J01)/(m2 - m0); where all nodes are close, W d² exp[·, ·, ·] by its series around their mean."""
    mean, span = (low + middle + high) * (1 / 3), high - low
    x, y, z = low - mean, middle - mean, high - mean
    square = (x * x + y * y + z * z) * 0.5 * (d * d)
    cube = (x * y * z) * (d * d) * d
    near = 0.5 + square * (1 / 24 + square * (1 / 720 + square * (1 / 40320)))
    near += cube * (1 / 120 + square * (1 / 2520) + cube * (1 / 40320))
    direct = (last - first) * (1.0 / tl.where(span == 0.0, 1.0, span))
    return tl.where((span * span) * (d * d) < _TERM_BOUND, tl.where(d == 0.0, 0.0, centre * (d * d)) * near, direct)


@triton.jit
def _bounded(x: tl.tensor) -> tl.tensor:
    """Replace -inf and inf by bounds that act like them, so that differences exist; NaN stays."""
    at_least = tl.maximum(x, -_FAR, propagate_nan=tl.PropagateNan.ALL)
    return tl.minimum(at_least, _FAR, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _number(pointer: tl.tensor, stride: tl.tensor, row: tl.tensor) -> tl.tensor:
    """Load the number of a row; with a stride of 0 all rows share one."""
    return tl.load(pointer + row * stride).to(tl.float32)


@triton.jit
def _logits(row: tl.tensor, stride: tl.tensor, columns: tl.tensor, classes: tl.tensor) -> tl.tensor:
    """Load logits of a row; columns after the last class act like classes that both sides exclude."""
    return tl.load(row + columns.to(tl.int64) * stride, mask=columns < classes, other=float("-inf")).to(tl.float32)


@triton.jit
def _compare(
    z: tl.tensor, y: tl.tensor, z_max: tl.tensor, y_max: tl.tensor, z_sum: tl.tensor, y_sum: tl.tensor, scale: tl.tensor
) -> tuple[tl.tensor, tl.tensor, tl.tensor]:
    """Compute u, v and d of some classes; all are 0, as are term and slopes, where both sides exclude the class."""
    alive = (z != float("-inf")) | (y != float("-inf"))
    z, y = tl.where(alive, z, z_max), tl.where(alive, y, y_max)
    binary = scale * _LOG2E
    u, v = (y - y_max) * binary - tl.log2(y_sum), (z - z_max) * binary - tl.log2(z_sum)
    # From differences of logits, since u - v would inherit the rounding of both.
    d = ((y - z) - (y_max - z_max)) * scale - tl.log(y_sum / z_sum)
    return tl.where(alive, _bounded(u), 0.0), tl.where(alive, _bounded(v), 0.0), tl.where(alive, _bounded(d), 0.0)


@triton.jit(do_not_specialize=["alpha_row", "beta_row", "temperature_row", "weight_row"])
def alpha_beta_kernel(
    student: tl.tensor,
    teacher: tl.tensor,
    mask: tl.tensor,
    alpha: tl.tensor,
    beta: tl.tensor,
    temperature: tl.tensor,
    values: tl.tensor,
    state: tl.tensor,
    statistics: tl.tensor,
    gradient: tl.tensor,
    weight: tl.tensor,
    labels: tl.tensor,
    task_values: tl.tensor,
    task_weight: tl.tensor,
    student_row: tl.tensor,
    student_column: tl.tensor,
    teacher_row: tl.tensor,
    teacher_column: tl.tensor,
    gradient_row: tl.tensor,
    gradient_column: tl.tensor,
    alpha_row: tl.tensor,
    beta_row: tl.tensor,
    temperature_row: tl.tensor,
    weight_row: tl.tensor,
    classes: tl.tensor,
    TEACHER: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """Process one row. What is not wanted or not there is None; `lightning_abkd.kernels._alpha_beta_op` launches it.

    With `values` it compares, and leaves in `state` what a later gradient needs. Without, it reads `state`: six rows of
    N numbers, the largest logit, Σ exp((logit - largest)/T) and Σ slope of the student, then those of the teacher.
    With `gradient` it writes weight · ∂D/∂z. With `labels` it adds task_weight times the cross-entropy's gradient.
    """
    row = tl.program_id(0).to(tl.int64)
    rows = tl.num_programs(0).to(tl.int64)
    block = tl.arange(0, BLOCK)
    zeros = tl.zeros([BLOCK], tl.float32)
    final = (classes - 1) // BLOCK * BLOCK
    student += row * student_row
    teacher += row * teacher_row
    if gradient is not None:
        gradient += row * gradient_row
    if mask is not None:  # noqa: SIM102 - this is known to the compiler, the next is not
        if tl.load(mask + row) == 0:
            if values is not None:
                tl.store(values + row, 0.0)
            if statistics is not None:
                for entry in tl.static_range(6):
                    tl.store(statistics + entry * rows + row, 0.0)
            if gradient is not None:
                for start in range(0, classes, BLOCK):
                    columns = start + block
                    tl.store(gradient + columns.to(tl.int64) * gradient_column, zeros, mask=columns < classes)
            return
    a, b = _number(alpha, alpha_row, row), _number(beta, beta_row, row)
    total, scale = a + b, 1.0 / _number(temperature, temperature_row, row)

    if values is not None:
        z_max, y_max = tl.full([], _NONE_YET, tl.float32), tl.full([], _NONE_YET, tl.float32)
        z_sums, y_sums, task_sums = zeros, zeros, zeros
        binary = scale * _LOG2E
        for start in range(0, classes, BLOCK):
            z = _logits(student, student_column, start + block, classes)
            y = _logits(teacher, teacher_column, start + block, classes)
            z_new, y_new = tl.maximum(z_max, tl.max(z, 0)), tl.maximum(y_max, tl.max(y, 0))
            z_sums = z_sums * tl.exp2((z_max - z_new) * binary) + tl.exp2((z - z_new) * binary)
            y_sums = y_sums * tl.exp2((y_max - y_new) * binary) + tl.exp2((y - y_new) * binary)
            if labels is not None:
                task_sums = task_sums * tl.exp(z_max - z_new) + tl.exp(z - z_new)
            z_max, y_max = z_new, y_new
        z_sum, y_sum = tl.sum(z_sums, 0), tl.sum(y_sums, 0)
        if labels is not None:
            # Read before the gradient may overwrite it: the sums below are a barrier.
            label, task_sum = tl.load(labels + row), tl.sum(task_sums, 0)
            chosen = tl.load(student + label * student_column, mask=label >= 0, other=0.0).to(tl.float32)
            tl.store(task_values + row, tl.where(label >= 0, tl.log(task_sum) - (chosen - z_max), 0.0))

        low, middle, high = _ordered(a, total)
        # A class that one side alone excludes has an infinite term unless its exponents are positive.
        least = tl.where(tl.minimum(a, total) > 0.0, float("-inf"), -_FAR)
        most = tl.where(tl.minimum(b, total) > 0.0, float("inf"), _FAR)
        terms, slopes, teacher_slopes = zeros, zeros, zeros
        z_entropy, y_entropy, cross, z_power, y_power = zeros, zeros, zeros, zeros, zeros
        z_first, y_first = tl.full([BLOCK], 0, tl.int32) + classes, tl.full([BLOCK], 0, tl.int32) + classes
        for offset in range(0, classes, BLOCK):
            columns = final - offset + block
            z = _logits(student, student_column, columns, classes)
            y = _logits(teacher, teacher_column, columns, classes)
            u, v, d = _compare(z, y, z_max, y_max, z_sum, y_sum, scale)
            low_power, middle_power = _power(u, v, low, total), _power(u, v, middle, total)
            high_power, centre = _power(u, v, high, total), _power(u, v, (low + middle + high) * (1 / 3), total)
            first = _difference(low_power, middle_power, d, middle - low)
            last = _difference(middle_power, high_power, d, high - middle)
            infinite = (d != 0.0) & ((d <= least) | (d >= most) | (low_power + high_power == float("inf")))
            terms += tl.where(infinite, float("inf"), _term(first, last, centre, d, low, middle, high))
            slopes += _slope(u, v, d, a, total)
            if TEACHER:
                # Duality: D_αβ(p‖q) = D_βα(q‖p).
                teacher_slopes += _slope(v, u, -d, b, total)
            if statistics is not None:
                alive = (z != float("-inf")) | (y != float("-inf"))
                z_entropy -= tl.where(alive, tl.exp2(v) * v, 0.0)
                y_entropy -= tl.where(alive, tl.exp2(u) * u, 0.0)
                cross += tl.where(alive, _power(u, v, a, total), 0.0)
                z_power += tl.where(alive, _power(u, v, 0.0, total), 0.0)
                y_power += tl.where(alive, _power(u, v, total, total), 0.0)
                z_first = tl.minimum(z_first, tl.where(z == z_max, columns, classes))
                y_first = tl.minimum(y_first, tl.where(y == y_max, columns, classes))
        slope = tl.sum(slopes, 0)
        tl.store(values + row, tl.sum(terms, 0))
        if state is not None:
            tl.store(state + row, z_max)
            tl.store(state + rows + row, z_sum)
            tl.store(state + 2 * rows + row, slope)
            tl.store(state + 3 * rows + row, y_max)
            tl.store(state + 4 * rows + row, y_sum)
            tl.store(state + 5 * rows + row, tl.sum(teacher_slopes, 0))
        if statistics is not None:
            agreement = (tl.min(z_first, 0) == tl.min(y_first, 0)).to(tl.float32)
            tl.store(statistics + row, tl.sum(z_entropy, 0) * (1 / _LOG2E))
            tl.store(statistics + rows + row, tl.sum(y_entropy, 0) * (1 / _LOG2E))
            tl.store(statistics + 2 * rows + row, agreement)
            tl.store(statistics + 3 * rows + row, tl.sum(cross, 0))
            tl.store(statistics + 4 * rows + row, tl.sum(z_power, 0))
            tl.store(statistics + 5 * rows + row, tl.sum(y_power, 0))
    else:
        z_max, z_sum = tl.load(state + row), tl.load(state + rows + row)
        slope = tl.load(state + 2 * rows + row)
        y_max, y_sum = tl.load(state + 3 * rows + row), tl.load(state + 4 * rows + row)

    if gradient is not None:
        factor = _number(weight, weight_row, row)
        if labels is not None:
            task_factor = tl.where(label >= 0, tl.load(task_weight).to(tl.float32), 0.0)
        for start in range(0, classes, BLOCK):
            columns = start + block
            z = _logits(student, student_column, columns, classes)
            y = _logits(teacher, teacher_column, columns, classes)
            u, v, d = _compare(z, y, z_max, y_max, z_sum, y_sum, scale)
            q = tl.where(z == float("-inf"), 0.0, tl.exp2(v))
            result = factor * scale * (q * slope - _slope(u, v, d, a, total))
            if labels is not None:
                result += task_factor * (tl.exp(z - z_max) / task_sum - tl.where(columns == label, 1.0, 0.0))
            tl.store(gradient + columns.to(tl.int64) * gradient_column, result, mask=columns < classes)
