"""Triton kernel of the α-β-divergence from logits: one program per row, which sweeps over its classes in blocks.

The first sweep finds the normalisers, the second sums terms and slopes, the third writes the gradient. The second runs
backwards, so that it starts with what is still in the cache. With u = log2 p, v = log2 q, d = log p - log q, the powers
of a class at the sorted nodes m0 <= m1 <= m2 among 0, α and s = α + β are W_i = q^s (p/q)^m_i, that is q^s, p^α q^β and
p^s. The term is their second divided difference (J12 - J01)/(m2 - m0), J_ij = (W_j - W_i)/(m_j - m_i). The slope is the
difference between the nodes 0 and α. Where a difference cancels, its series replaces it; for p = q it is 0.

Where an exponent is negative, powers may overflow although terms and gradient do not. Then terms are in units of the
class's largest power, and slopes in units of the row's, which one more sweep finds first.
"""

import triton
import triton.language as tl

from lightning_abkd.kernels._alpha_beta_terms_triton import (
    LEAST,
    LOG2E,
    compare,
    difference,
    load_logits,
    load_number,
    row_units,
    slope_of,
    sorted_nodes,
    term_of,
)


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

    With `values` it compares, and leaves in `state` what a later gradient needs. Without, it reads `state`: eight rows
    of N numbers, the largest logit, Σ exp((logit - largest)/T), Σ slope and its unit of the student, then those of the
    teacher.
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
    a, b = load_number(alpha, alpha_row, row), load_number(beta, beta_row, row)
    total, scale = a + b, 1.0 / load_number(temperature, temperature_row, row)

    if values is not None:
        z_max, y_max = tl.full([], LEAST, tl.float32), tl.full([], LEAST, tl.float32)
        z_sums, y_sums, task_sums = zeros, zeros, zeros
        binary = scale * LOG2E
        for start in range(0, classes, BLOCK):
            z = load_logits(student, student_column, start + block, classes)
            y = load_logits(teacher, teacher_column, start + block, classes)
            z_new, y_new = tl.maximum(z_max, tl.max(z, 0)), tl.maximum(y_max, tl.max(y, 0))
            z_step, y_step = tl.where(z_max == LEAST, 0.0, z_max - z_new), tl.where(y_max == LEAST, 0.0, y_max - y_new)
            z_sums = z_sums * tl.exp2(z_step * binary) + tl.exp2((z - z_new) * binary)
            y_sums = y_sums * tl.exp2(y_step * binary) + tl.exp2((y - y_new) * binary)
            if labels is not None:
                task_sums = task_sums * tl.exp(z_step) + tl.exp(z - z_new)
            z_max, y_max = z_new, y_new
        z_sum, y_sum = tl.sum(z_sums, 0), tl.sum(y_sums, 0)
        if labels is not None:
            # Read before the gradient may overwrite it: the sums below are a barrier.
            label, task_sum = tl.load(labels + row), tl.sum(task_sums, 0)
            chosen = tl.load(student + label * student_column, mask=label >= 0, other=0.0).to(tl.float32)
            tl.store(task_values + row, tl.where(label >= 0, tl.log(task_sum) - (chosen - z_max), 0.0))

        low_p, low_q, middle_p, middle_q, high_p, high_q, gap, next_gap = sorted_nodes(a, b, total)
        # A class that one side alone excludes has an infinite term unless its exponents are positive.
        fatal_teacher = tl.where((a <= 0.0) | (total <= 0.0), float("-inf"), float("nan"))
        fatal_student = tl.where((b <= 0.0) | (total <= 0.0), float("-inf"), float("nan"))
        careful = (a < 0.0) | (b < 0.0)
        unit, teacher_unit = row_units(
            student, teacher, student_column, teacher_column, z_max, y_max, z_sum, y_sum, scale, classes, a, b, BLOCK
        )
        terms, slopes, teacher_slopes = zeros, zeros, zeros
        z_entropy, y_entropy, cross, z_power, y_power = zeros, zeros, zeros, zeros, zeros
        z_first, y_first = tl.full([BLOCK], 0, tl.int32) + classes, tl.full([BLOCK], 0, tl.int32) + classes
        for offset in range(0, classes, BLOCK):
            columns = final - offset + block
            z = load_logits(student, student_column, columns, classes)
            y = load_logits(teacher, teacher_column, columns, classes)
            u, v, d, alive = compare(z, y, z_max, y_max, z_sum, y_sum, scale)
            at_low, at_middle, at_high = u * low_p + v * low_q, u * middle_p + v * middle_q, u * high_p + v * high_q
            root = zeros + 1.0
            if careful:
                # In units of the largest of the three, which is the high one where d > 0 and the low one elsewhere.
                root = tl.exp2(tl.where(d == 0.0, 0.0, tl.maximum(at_low, at_high) * 0.5))
                at_low = tl.where(d > 0.0, (gap + next_gap) * -d, 0.0) * LOG2E
                at_middle = tl.where(d > 0.0, next_gap * -d, gap * d) * LOG2E
                at_high = tl.where(d > 0.0, 0.0, (gap + next_gap) * d) * LOG2E
            middle_power = tl.exp2(at_middle)
            first = difference(tl.exp2(at_low), middle_power, d, gap)
            last = difference(middle_power, tl.exp2(at_high), d, next_gap)
            term = term_of(first, last, tl.exp2((at_low + at_middle + at_high) * (1 / 3)), root, d, gap, next_gap)
            infinite = (d != 0.0) & ((y == fatal_teacher) | (z == fatal_student))
            terms += tl.where(infinite, float("inf"), term)
            slopes += slope_of(u, v, d, a, b, total, unit)
            if TEACHER:
                # Duality: D_αβ(p‖q) = D_βα(q‖p).
                teacher_slopes += slope_of(v, u, -d, b, a, total, teacher_unit)
            if statistics is not None:
                z_entropy -= tl.where(alive, tl.exp2(v) * v, 0.0)
                y_entropy -= tl.where(alive, tl.exp2(u) * u, 0.0)
                cross += tl.where(alive, tl.exp2(u * a + v * b), 0.0)
                z_power += tl.where(alive, tl.exp2(v * total), 0.0)
                y_power += tl.where(alive, tl.exp2(u * total), 0.0)
                z_first = tl.minimum(z_first, tl.where(z == z_max, columns, classes))
                y_first = tl.minimum(y_first, tl.where(y == y_max, columns, classes))
        slope = tl.sum(slopes, 0)
        tl.store(values + row, tl.sum(terms, 0))
        if state is not None:
            tl.store(state + row, z_max)
            tl.store(state + rows + row, z_sum)
            tl.store(state + 2 * rows + row, slope)
            tl.store(state + 3 * rows + row, unit)
            tl.store(state + 4 * rows + row, y_max)
            tl.store(state + 5 * rows + row, y_sum)
            tl.store(state + 6 * rows + row, tl.sum(teacher_slopes, 0))
            tl.store(state + 7 * rows + row, teacher_unit)
        if statistics is not None:
            agreement = (tl.min(z_first, 0) == tl.min(y_first, 0)).to(tl.float32)
            tl.store(statistics + row, tl.sum(z_entropy, 0) * (1 / LOG2E))
            tl.store(statistics + rows + row, tl.sum(y_entropy, 0) * (1 / LOG2E))
            tl.store(statistics + 2 * rows + row, agreement)
            tl.store(statistics + 3 * rows + row, tl.sum(cross, 0))
            tl.store(statistics + 4 * rows + row, tl.sum(z_power, 0))
            tl.store(statistics + 5 * rows + row, tl.sum(y_power, 0))
    else:
        z_max, z_sum = tl.load(state + row), tl.load(state + rows + row)
        slope, unit = tl.load(state + 2 * rows + row), tl.load(state + 3 * rows + row)
        y_max, y_sum = tl.load(state + 4 * rows + row), tl.load(state + 5 * rows + row)

    if gradient is not None:
        factor = load_number(weight, weight_row, row)
        # The unit alone may be beyond float32.
        root = tl.exp2(tl.minimum(unit * 0.5, 126.0))
        if labels is not None:
            task_factor = tl.where(label >= 0, tl.load(task_weight).to(tl.float32), 0.0)
        for start in range(0, classes, BLOCK):
            columns = start + block
            z = load_logits(student, student_column, columns, classes)
            y = load_logits(teacher, teacher_column, columns, classes)
            u, v, d, alive = compare(z, y, z_max, y_max, z_sum, y_sum, scale)
            q = tl.where(alive, tl.exp2(v), 0.0)
            result = factor * scale * ((q * slope - slope_of(u, v, d, a, b, total, unit)) * root * root)
            # A row that does not count has no gradient, even if its own would be infinite.
            result = tl.where(factor == 0.0, 0.0, result)
            if labels is not None:
                result += task_factor * (tl.exp(z - z_max) / task_sum - tl.where(columns == label, 1.0, 0.0))
            tl.store(gradient + columns.to(tl.int64) * gradient_column, result, mask=columns < classes)
