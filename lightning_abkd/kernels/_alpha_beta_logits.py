"""The α-β-divergence from logits by its Triton kernel: what there is of it, for how it is used."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.kernels._alpha_beta_op import alpha_beta_op, alpha_beta_rows_op

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


class AlphaBetaStatistics(NamedTuple):
    """The divergence of each position and what comes with it in the same pass, float32, each of shape (...).

    Args:
        value: D(p‖q), which has a gradient; the others have none.
        student_entropy: -Σ q log q in nats.
        teacher_entropy: -Σ p log p in nats.
        agreement: 1 where both sides' most probable class, the first of several, is the same, 0 elsewhere.
        cross_power: Σ p^α q^β over the classes that not both sides exclude.
        student_power: Σ q^(α+β) over the same classes.
        teacher_power: Σ p^(α+β).
    """

    value: Tensor
    student_entropy: Tensor
    teacher_entropy: Tensor
    agreement: Tensor
    cross_power: Tensor
    student_power: Tensor
    teacher_power: Tensor


def _per_row(number: float | Tensor, logits: Tensor) -> Tensor:
    """Give a number of each row (N,), of stride 0 where all rows share one: nothing waits for the device."""
    if not isinstance(number, Tensor):
        number = torch.full((), number, dtype=torch.float32, device=logits.device)
    return number.detach().to(logits.device).expand(logits.shape[:-1]).reshape(-1)


def _check(student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> None:
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            "Parameters `student_logits` and `teacher_logits` should have one shape. "
            f"Found {tuple(student_logits.shape)} and {tuple(teacher_logits.shape)}."
        )
    for name, logits in (("student_logits", student_logits), ("teacher_logits", teacher_logits)):
        if logits.dtype not in _DTYPES:
            raise TypeError(f"Parameter `{name}` should be float32, bfloat16 or float16. Found {logits.dtype}.")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != student_logits.shape[:-1]):
        raise ValueError(
            f"Parameter `mask` should be boolean of shape {tuple(student_logits.shape[:-1])}. "
            f"Found {mask.dtype} of shape {tuple(mask.shape)}."
        )


def _apply(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor,
    mask: Tensor | None,
    with_statistics: bool = False,
    inplace: bool = False,
) -> tuple[Tensor, Tensor]:
    _check(student_logits, teacher_logits, mask)
    classes, leading = student_logits.shape[-1], student_logits.shape[:-1]
    numbers = (_per_row(number, student_logits) for number in (alpha, beta, temperature))
    counted = None if mask is None else mask.reshape(-1).contiguous()
    student, teacher = student_logits.reshape(-1, classes), teacher_logits.reshape(-1, classes)
    values, _, statistics = alpha_beta_op(
        student, teacher, *numbers, counted, teacher_logits.requires_grad, with_statistics, inplace
    )
    return values.view(leading), statistics.view(len(statistics), *leading)


def alpha_beta_from_logits(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
    inplace: bool = False,
) -> Tensor:
    """Compute the α-β-divergence of each position from logits in one kernel, and its gradients in another.

    The numbers of `lightning_abkd.functional.alpha_beta_divergence` at log_softmax(logits/T), in float32 arithmetic.
    Six numbers a position are kept for the backward pass and nothing of the logits' size, so that it may run as often
    as wanted. Changing α, β or T compiles nothing and waits for nothing.

    Args:
        student_logits: Shape (..., V), float32, bfloat16 or float16, of any strides.
        teacher_logits: Shape (..., V), of a dtype and strides of its own.
        alpha: α, a number or a tensor that broadcasts against the leading shape (...); it receives no gradient.
        beta: β, as `alpha`.
        temperature: T > 0, as `alpha`.
        mask: Boolean, shape (...), True where a position counts. Others are not read and give 0 and no gradient.
        inplace: Write the gradient over the student's logits, which nobody may need any more: the backward pass then
            runs once.

    Returns:
        Divergence in nats-like units, shape (...), float32. First derivatives by both logits; second derivatives are
        not available.

    Raises:
        ValueError: If shapes do not fit each other, or `inplace` is asked for logits whose positions share memory.
        TypeError: If logits are of another dtype.
        RuntimeError: If Triton does not run where the logits are; see `runs_triton`.

    Example:
        >>> from lightning_abkd.kernels import runs_triton
        >>> student, teacher = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 0.0])
        >>> kernel = runs_triton(student.device)
        >>> round(alpha_beta_from_logits(student, teacher, 1.0, 0.0).item(), 4) if kernel else 0.4338
        0.4338
    """
    if inplace and 0 in student_logits.stride():
        raise ValueError("Positions of `student_logits` should have memory of their own to be overwritten in place.")
    return _apply(student_logits, teacher_logits, alpha, beta, temperature, mask, inplace=inplace)[0]


def alpha_beta_statistics(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor = 1.0,
    mask: Tensor | None = None,
) -> AlphaBetaStatistics:
    """Compute the α-β-divergence as `alpha_beta_from_logits` does, and its by-products without another pass.

    Args:
        student_logits: Shape (..., V), float32, bfloat16 or float16.
        teacher_logits: Shape (..., V).
        alpha: α, a number or a tensor that broadcasts against (...).
        beta: β, as `alpha`.
        temperature: T > 0, as `alpha`; entropies and powers are those at this temperature.
        mask: Boolean, shape (...); masked positions give 0 everywhere.

    Returns:
        Value, entropies, agreement and sums of powers of each position.

    Raises:
        ValueError: If shapes do not fit each other.
        TypeError: If logits are of another dtype.
        RuntimeError: If Triton does not run where the logits are.

    Example:
        >>> rows = torch.zeros(1, 4)
        >>> from lightning_abkd.kernels import runs_triton
        >>> alpha_beta_statistics(rows, rows, 1.0, 0.0).agreement.item() if runs_triton(rows.device) else 1.0
        1.0
    """
    values, statistics = _apply(student_logits, teacher_logits, alpha, beta, temperature, mask, with_statistics=True)
    return AlphaBetaStatistics(values, *statistics.unbind())


def alpha_beta_cross_entropy_rows(
    student_logits: Tensor,
    teacher_logits: Tensor,
    gradient: Tensor,
    alpha: float | Tensor,
    beta: float | Tensor,
    temperature: float | Tensor = 1.0,
    weight: float | Tensor = 1.0,
    labels: Tensor | None = None,
    task_weight: float | Tensor = 1.0,
) -> tuple[Tensor, Tensor | None]:
    """Compute divergence and cross-entropy of rows and write the gradient of their weighted sum, in one kernel.

    For losses that work through rows in chunks and keep the gradient themselves; without the autograd's notice.

    Args:
        student_logits: Shape (n, V), float32, bfloat16 or float16.
        teacher_logits: Shape (n, V).
        gradient: Shape (n, V), overwritten with weight · ∂D/∂z + task_weight · (softmax(z) - one-hot); it may be
            `student_logits` itself.
        alpha: α, a number, a 0-dimensional tensor or one number a row (n,).
        beta: β, as `alpha`.
        temperature: T > 0 of the divergence, as `alpha`; the cross-entropy is that at T = 1.
        weight: Weight of the divergence in the gradient, as `alpha`.
        labels: int64, shape (n,); a negative one has no cross-entropy. None leaves the cross-entropy out.
        task_weight: Weight of the cross-entropy in the gradient.

    Returns:
        Divergences and cross-entropies (n,), float32, neither of them weighted; None without labels.

    Raises:
        ValueError: If shapes differ.
        TypeError: If logits are of another dtype.
        RuntimeError: If Triton does not run where the logits are.
    """
    _check(student_logits, teacher_logits)
    _check(student_logits, gradient)
    alpha, beta, temperature, weight = (_per_row(x, student_logits) for x in (alpha, beta, temperature, weight))
    with torch.no_grad():
        values, task_values = alpha_beta_rows_op(
            *(gradient, student_logits, teacher_logits, alpha, beta, temperature, weight),
            None if labels is None else labels.contiguous(),
            None if labels is None else _per_row(task_weight, student_logits[:1]),
        )
    return values, None if labels is None else task_values
