"""The α-β-divergence and the slope of its gradient in one evaluation, for code that writes gradients itself."""

import torch
from torch import Tensor

from lightning_abkd._utils import check_same_shape
from lightning_abkd.functional._alpha_beta_terms import compare, exponent_column, powers_fit
from lightning_abkd.functional._numerics import promote_to_float32


@torch.no_grad()
def alpha_beta_value_and_slope(
    log_p: Tensor, log_q: Tensor, alpha: float | Tensor, beta: float | Tensor
) -> tuple[Tensor, Tensor]:
    r"""Compute the α-β-divergence together with the weight g of each class, from which its gradient follows.

    Both results equal those of `alpha_beta_divergence` and `alpha_beta_slope` to the last bit. Where α, β ≥ 0 and
    α + β ≥ 0.25 the value follows from the slopes of both sides, so that the student's slope is computed once instead
    of twice:

    .. math::

        D_{\alpha,\beta}(p \| q) = -\frac{1}{\alpha + \beta} \sum_k (g_k + h_k), \qquad
        g_k = q_k^\beta \frac{p_k^\alpha - q_k^\alpha}{\alpha}, \qquad
        h_k = p_k^\alpha \frac{q_k^\beta - p_k^\beta}{\beta}

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.
    - α, β -> `alpha`, `beta`: any real numbers. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses
      (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        alpha: Number, or a tensor that broadcasts against the leading shape (...).
        beta: As `alpha`.

    Returns:
        Divergence, shape (...), and slope g, shape (..., V). Autograd tracks neither. The gradient with respect to the
        student's logits is q Σ g - g.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
        >>> value, slope = alpha_beta_value_and_slope(log_p, log_q, 1.0, 0.0)
        >>> round(value.item(), 4), [round(g, 4) for g in slope.tolist()]
        (0.5108, [-0.4, 0.4])
    """
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    a = exponent_column(alpha, log_q)
    b = exponent_column(beta, log_q)
    found = compare(log_p, log_q, a, b, powers_fit(alpha, beta))
    return found.values, found.student.product()
