"""The α-β-divergence of rows in few vectorised passes, also for nearly equal rows and for exponents per row."""

import math

import torch
from torch import Tensor

_LOG2E = 1.0 / math.log(2.0)
# Stands in for 0: for an x this small, expm1(x d)/x is d to the last bit of float32.
_SMALLEST = 1e-9
# The last division of a value, by α + β, multiplies rounding errors by 1/(α + β).
_SMALLEST_TOTAL = 0.05


def alpha_beta_rows(
    log_p: Tensor,
    log_q: Tensor,
    alpha: Tensor,
    beta: Tensor,
    gradient: Tensor | None = None,
    scale: float | Tensor = 1.0,
) -> Tensor | None:
    r"""Compute the α-β-divergence of each row and write its gradient with respect to the student's logits.

    .. math::

        D_{\alpha,\beta}(p \| q) = \frac{1}{s} \sum_k (h_k - g_k), \qquad
        g_k = q_k^s \, \frac{e^{\alpha d_k} - 1}{\alpha}, \qquad
        h_k = p_k^s \, \frac{1 - e^{-\beta d_k}}{\beta}, \qquad
        \frac{\partial D}{\partial z_k} = q_k \sum_j g_j - g_k

    where:

    - p, q -> exp of `log_p`, `log_q`; d = log(p/q), and z are logits of which log q is the log-softmax.
    - α, β -> `alpha`, `beta`: any real numbers with abs(s) ≥ 0.05, where s = α + β. The paper (Wang et al., "ABKD",
      ICML 2025, arXiv 2505.04560) uses (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100.

    Neither g nor h cancels as p → q. So the relative error of a value is smaller than what the rounding of d can cause.

    Args:
        log_p: Teacher log-probabilities, float32, shape (N, V).
        log_q: Student log-probabilities, float32, shape (N, V).
        alpha: 0-dimensional, or one per row, shape (N,).
        beta: As `alpha`.
        gradient: Shape (N, V), overwritten with the gradient times `scale`; None computes values alone.
        scale: Factor of the gradient; 1/T where logits were divided by T.

    Returns:
        Values, shape (N,), or None where α + β is near 0 or an exponential leaves float32, as it does for infinite
        logits. Use `lightning_abkd.functional.alpha_beta_divergence` for such rows.

    Example:
        >>> log_p, log_q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
        >>> value = alpha_beta_rows(log_p, log_q, torch.tensor(1.0), torch.tensor(0.0))
        >>> round(value.item(), 4)
        0.5108
    """
    alpha = alpha.reshape(-1, 1)
    beta = beta.reshape(-1, 1)
    total = alpha + beta
    a = alpha.masked_fill(alpha.abs() < _SMALLEST, _SMALLEST)
    b = beta.masked_fill(beta.abs() < _SMALLEST, _SMALLEST)
    distance = log_p - log_q
    exponent = total * _LOG2E
    student = torch.mul(distance, a).expm1_().mul_(torch.mul(log_q, exponent).exp2_())
    teacher = distance.mul_(-b).expm1_().mul_(torch.mul(log_p, exponent).exp2_())
    slope = student.sum(-1, keepdim=True).div_(a)
    values = (teacher.sum(-1, keepdim=True).div_(-b) - slope).div_(total)
    # Dividing by False (0) gives inf, so one host read answers both questions.
    if not math.isfinite((values.sum() / (total.abs().amin() >= _SMALLEST_TOTAL)).item()):
        return None
    if gradient is not None:
        torch.mul((log_q * _LOG2E).exp2_(), slope * scale, out=gradient).addcmul_(student, scale / a, value=-1.0)
    return values.squeeze(-1).clamp_(min=0.0)
