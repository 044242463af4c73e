"""The closed form of value and gradient of the α-β-divergence in plain operations of torch."""

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from lightning_abkd.functional import alpha_beta_value_and_slope


def closed_form(
    student_logits: Tensor, teacher_logits: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Compute the α-β-divergence of rows and its gradient with respect to the student's logits.

    It works on any device and in any precision. Value D and slope g are those of
    `lightning_abkd.functional.alpha_beta_value_and_slope`. The gradient is

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
    log_p = torch.log_softmax(teacher_logits / temperature, -1)
    log_q = torch.log_softmax(student_logits / temperature, -1)
    return closed_form_of_log_probabilities(log_p, log_q, alpha, beta, temperature)


def closed_form_of_log_probabilities(
    log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, temperature: Tensor
) -> tuple[Tensor, Tensor]:
    """Compute what `closed_form` does from log-probabilities at the temperature, shape (N, V)."""
    values, slope = alpha_beta_value_and_slope(log_p, log_q, alpha, beta)
    return values, (log_q.exp() * slope.sum(-1, keepdim=True) - slope) / temperature


@functools.cache
def compiled_form() -> Callable[..., tuple[Tensor, Tensor]]:
    """Return `closed_form` compiled once by torch.compile; other α, β, T or numbers of rows do not compile it again."""
    return torch.compile(closed_form, dynamic=True)
