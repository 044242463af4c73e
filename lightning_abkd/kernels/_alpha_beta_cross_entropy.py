"""Entry point of the Triton kernel for losses that keep gradients themselves: value with in-place gradient."""

import torch
from torch import Tensor

from lightning_abkd._utils import check_same_shape
from lightning_abkd.kernels._alpha_beta_logits import check_dtype, check_logits, per_row
from lightning_abkd.kernels._alpha_beta_op import alpha_beta_rows_op


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
    r"""Compute divergence and cross-entropy of rows and write the gradient of their weighted sum, in one kernel.

    .. math::

        \frac{\partial}{\partial z} \big( w \, D_{\alpha,\beta}(p \| q) + v \, C \big), \qquad
        C = -\log \mathrm{softmax}(z)_c, \qquad \frac{\partial C}{\partial z} = \mathrm{softmax}(z) - e_c

    where:

    - z, p, q, α, β and T are those of `alpha_beta_from_logits`; C is the cross-entropy at T = 1, e_c the one-hot row.
    - w -> `weight`, v -> `task_weight`: any numbers.
    - c -> `labels`.

    For losses that process rows in chunks and keep the gradient themselves: autograd does not see it.

    Args:
        student_logits: Shape (n, V), float32, bfloat16 or float16.
        teacher_logits: Shape (n, V).
        gradient: Shape (n, V), overwritten. It may be `student_logits` itself.
        alpha: A number, a 0-dimensional tensor or one number per row (n,).
        beta: As `alpha`.
        temperature: As `alpha`.
        weight: Weight of the divergence in the gradient, as `alpha`.
        labels: int64, shape (n,). A row with a negative label has no cross-entropy. None leaves the cross-entropy out.
        task_weight: Weight of the cross-entropy in the gradient.

    Returns:
        Divergences and cross-entropies (n,), float32, both unweighted. The cross-entropies are None without labels.

    Raises:
        ValueError: If shapes differ.
        TypeError: If logits are of another dtype.
        RuntimeError: If Triton does not run where the logits are.

    Example:
        >>> from lightning_abkd.kernels import runs_triton
        >>> student, teacher, gradient = torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2), torch.empty(1, 2)
        >>> kernel = runs_triton(student.device)
        >>> value = alpha_beta_cross_entropy_rows(student, teacher, gradient, 1.0, 0.0)[0].item() if kernel else 0.43378
        >>> round(value, 4)
        0.4338
    """
    check_logits(student_logits, teacher_logits)
    check_same_shape(student_logits, gradient, ("student_logits", "gradient"))
    check_dtype("gradient", gradient)
    with torch.no_grad():
        values, task_values = alpha_beta_rows_op(
            gradient,
            student_logits,
            teacher_logits,
            per_row(alpha, student_logits),
            per_row(beta, student_logits),
            per_row(temperature, student_logits),
            per_row(weight, student_logits),
            None if labels is None else labels.contiguous(),
            None if labels is None else per_row(task_weight, student_logits[:1]),
        )
    return values, None if labels is None else task_values
