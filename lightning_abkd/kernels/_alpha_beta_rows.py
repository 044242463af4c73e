"""The α-β-divergence of rows in few vectorised passes, near rows and exponents of each row included."""

import math

import torch
from torch import Tensor

_LOG2E = 1.0 / math.log(2.0)
# In place of 0: expm1(x d)/x is d to the last bit of float32 from here on.
_SMALLEST = 1e-9
# The last quotient of a value loses what α + β is smaller than 1.
_SMALLEST_TOTAL = 0.05


def alpha_beta_rows(
    log_p: Tensor,
    log_q: Tensor,
    alpha: Tensor,
    beta: Tensor,
    gradient: Tensor | None = None,
    scale: float | Tensor = 1.0,
) -> Tensor | None:
    """Compute the α-β-divergence of each row and write its gradient by the student's logits.

    With g = q^s (e^(αd) - 1)/α, h = p^s (1 - e^(-βd))/β, s = α + β and d = log(p/q) the value is Σ (h - g)/s. Neither
    half cancels as p → q, so that values are right to a share of what the rounding of d explains.

    Args:
        log_p: Teacher log-probabilities, float32, shape (N, V).
        log_q: Student log-probabilities, float32, shape (N, V).
        alpha: α, 0-dimensional or one of each row, shape (N,).
        beta: β, as `alpha`.
        gradient: Shape (N, V), overwritten with the gradient by logits of which `log_q` is the log-softmax.
        scale: Factor of the gradient; 1/T where they were divided by T.

    Returns:
        Values, shape (N,), or None where α + β is near 0 or an exponential leaves float32, as it does for infinite
        logits: such rows are for `lightning_abkd.functional.alpha_beta_divergence`.

    Example:
        >>> log_p, log_q = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.9, 0.1]]).log()
        >>> value = alpha_beta_rows(log_p, log_q, torch.tensor(1.0), torch.tensor(0.0))
        >>> round(value.item(), 4)
        0.5108
    """
    alpha, beta = alpha.reshape(-1, 1), beta.reshape(-1, 1)
    total = alpha + beta
    a, b = (x.masked_fill(x.abs() < _SMALLEST, _SMALLEST) for x in (alpha, beta))
    distance, exponent = log_p - log_q, total * _LOG2E
    ours = torch.mul(distance, a).expm1_().mul_(torch.mul(log_q, exponent).exp2_())
    theirs = distance.mul_(-b).expm1_().mul_(torch.mul(log_p, exponent).exp2_())
    slope = ours.sum(-1, keepdim=True).div_(a)
    values = (theirs.sum(-1, keepdim=True).div_(-b) - slope).div_(total)
    # A division by False makes one number of both questions.
    if not math.isfinite((values.sum() / (total.abs().amin() >= _SMALLEST_TOTAL)).item()):
        return None
    if gradient is not None:
        torch.mul((log_q * _LOG2E).exp2_(), slope * scale, out=gradient).addcmul_(ours, scale / a, value=-1.0)
    return values.squeeze(-1).clamp_(min=0.0)
