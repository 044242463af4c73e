"""The closed form of value and gradient of the α-β-divergence in plain operations of torch."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context
from lightning_abkd.functional import alpha_beta_value_and_gradients, can_read_without_sync, promote_to_float32
from lightning_abkd.kernels._logit_rows import log_softmax_at


def closed_form(
    student_logits: Tensor, teacher_logits: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Compute the α-β-divergence of rows and its gradient with respect to the student's logits.

    It works on any device and in any precision. Value D and slope g are those of
    `lightning_abkd.functional.alpha_beta_value_and_gradients`. The gradient is

    .. math::

        \frac{\partial D}{\partial z_k} = \frac{1}{T} \Big( q_k \sum_j g_j - g_k \Big)

    where:

    - z -> `student_logits`, with q = softmax(z / T).
    - T -> `temperature`: greater than 0.

    Args:
        student_logits: Shape (N, V), float32 or wider.
        teacher_logits: Shape (N, V), float32 or wider.
        alpha: α, 0-dimensional or (N,).
        beta: β, as `alpha`.
        temperature: T, 0-dimensional.

    Returns:
        Values (N,) and gradient (N, V).

    Example:
        >>> numbers = torch.tensor(1.0), torch.tensor(0.0), torch.tensor(1.0)
        >>> value, gradient = closed_form(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]), *numbers)
        >>> round(value.item(), 4), [round(x, 4) for x in gradient[0].tolist()]
        (0.4338, [0.3808, -0.3808])
    """
    log_p = log_softmax_at(teacher_logits, temperature)
    log_q = log_softmax_at(student_logits, temperature)
    return closed_form_of_log_probabilities(log_p, log_q, alpha, beta, temperature)


def closed_form_of_log_probabilities(
    log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute what `closed_form` does from log-probabilities at the temperature, shape (N, V)."""
    found = alpha_beta_value_and_gradients(log_p, log_q, alpha, beta)
    return found.value, found.student / temperature


@functools.cache
def compiled_form() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `closed_form` compiled once by torch.compile; other α, β, T or numbers of rows do not compile it again."""
    return torch.compile(closed_form, dynamic=True)


def alpha_beta_closed_form(
    student_logits: Tensor, teacher_logits: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor
) -> Tensor:
    r"""Compute the α-β-divergence of each position from logits, with gradients for both sides.

    .. math::

        D_{\alpha,\beta}(p \| q), \qquad p = \mathrm{softmax}(y / T), \quad q = \mathrm{softmax}(z / T)

    where:

    - z, y -> `student_logits`, `teacher_logits`.
    - α, β -> `alpha`, `beta`: any real numbers. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses
      (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100.
    - T -> `temperature`: greater than 0.

    Values and gradients are those of `lightning_abkd.functional.alpha_beta_value_and_gradients`, which explains how
    they differ from autograd through log_softmax.

    Args:
        student_logits: Shape (..., V), any floating dtype; promoted to at least float32.
        teacher_logits: Shape (..., V), any floating dtype.
        alpha: α, 0-dimensional or one per position, shape (...).
        beta: β, as `alpha`.
        temperature: T, 0-dimensional.

    Returns:
        Values, shape (...). They have first derivatives with respect to both logits, but no second derivatives.

    Example:
        >>> student, teacher = torch.tensor([2.0, 0.0], requires_grad=True), torch.tensor([0.0, 0.0])
        >>> value = alpha_beta_closed_form(student, teacher, torch.tensor(1.0), torch.tensor(0.0), torch.tensor(1.0))
        >>> value.backward()
        >>> round(value.item(), 4), [round(x, 4) for x in student.grad.tolist()]
        (0.4338, [0.3808, -0.3808])
    """
    student = promote_to_float32(student_logits, teacher_logits)
    teacher = promote_to_float32(teacher_logits, student_logits)
    values: Tensor = _ClosedForm.apply(student, teacher, alpha, beta, temperature)
    return values


class _ClosedForm(torch.autograd.Function):
    """Values, with the gradients computed in the forward pass."""

    @staticmethod
    def forward(
        ctx: Context, student_logits: Tensor, teacher_logits: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor
    ) -> Tensor:
        of_student, of_teacher, *_ = ctx.needs_input_grad
        log_p = log_softmax_at(teacher_logits, temperature)
        log_q = log_softmax_at(student_logits, temperature)
        found = alpha_beta_value_and_gradients(log_p, log_q, alpha, beta, of_teacher)
        student = found.student / temperature if of_student else None
        ctx.save_for_backward(student, None if found.teacher is None else found.teacher / temperature)
        return found.value

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients: tuple[Tensor | None, ...] = ctx.saved_tensors
        return (
            *(None if slope is None else _times(slope, upstream.unsqueeze(-1)) for slope in gradients),
            None,
            None,
            None,
        )


def _times(gradient: Tensor, upstream: Tensor) -> Tensor:
    """Multiply; positions that do not count have no gradient, even if theirs would be infinite."""
    product = upstream * gradient
    if can_read_without_sync(upstream) and bool(upstream.all()):
        return product
    return product.masked_fill_(upstream == 0.0, 0.0)
