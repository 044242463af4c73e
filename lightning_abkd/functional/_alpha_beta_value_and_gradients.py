"""The α-β-divergence and its gradients with respect to logits in one evaluation, none of which is NaN."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd._utils import check_same_shape
from lightning_abkd.functional._alpha_beta_terms import compare, exponent_column, powers_fit
from lightning_abkd.functional._numerics import promote_to_float32


class ValueAndGradients(NamedTuple):
    """The divergence, shape (...), and its gradients with respect to logits, shape (..., V).

    Example: see `alpha_beta_value_and_gradients`.
    """

    value: Tensor
    student: Tensor
    teacher: Tensor | None


@torch.no_grad()
def alpha_beta_value_and_gradients(
    log_p: Tensor, log_q: Tensor, alpha: float | Tensor, beta: float | Tensor, of_teacher: bool = False
) -> ValueAndGradients:
    r"""Compute the α-β-divergence and its gradient with respect to the logits of the student, and of the teacher.

    .. math::

        \frac{\partial D_{\alpha,\beta}}{\partial z_k} = q_k \sum_j g_j - g_k, \qquad
        \frac{\partial D_{\alpha,\beta}}{\partial y_k} = p_k \sum_j h_j - h_k

    where:

    - p, q -> exp of `log_p`, `log_q`: softmax of the teacher's logits y and of the student's logits z.
    - α, β -> `alpha`, `beta`: any real numbers. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses
      (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100.
    - g -> the student's weights, see `alpha_beta_slope`; h are those of D with the sides and exponents exchanged.

    At negative exponents the weights may leave the dtype, and autograd through log_softmax would give NaN. Here no
    component is NaN: it is ±inf where it leaves the dtype. This holds where the value is +inf too. There a class at
    -inf on one side alone counts as one with the log-probability -1e18, and components far below the largest may be 0.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        alpha: Number, or a tensor that broadcasts against the leading shape (...).
        beta: As `alpha`.
        of_teacher: Compute the gradient with respect to the teacher's logits too.

    Returns:
        Divergence and gradients. Autograd tracks none of them.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
        >>> found = alpha_beta_value_and_gradients(log_p, log_q, 1.0, 0.0)
        >>> round(found.value.item(), 4), [round(x, 4) for x in found.student.tolist()]
        (0.5108, [0.4, -0.4])
    """
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    a = exponent_column(alpha, log_q)
    b = exponent_column(beta, log_q)
    found = compare(log_p, log_q, a, b, powers_fit(alpha, beta), of_teacher)
    teacher = None if found.teacher is None else found.teacher.gradient(log_p)
    return ValueAndGradients(found.values, found.student.gradient(log_q), teacher)
