"""The α-β-divergence, and the slope that its gradient is made of."""

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, check_same_shape
from lightning_abkd.functional._alpha_beta_terms import compare, exponent_column, powers_fit, slope
from lightning_abkd.functional._numerics import can_read_without_sync, promote_to_float32


def alpha_beta_divergence(log_p: Tensor, log_q: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    r"""Compute the α-β-divergence D(p‖q) of the student q from the teacher p.

    Paper: Wang et al., "ABKD", ICML 2025, arXiv 2505.04560. The family is that of Cichocki, Cruces & Amari 2011.

    .. math::

        D_{\alpha,\beta}(p\|q) = -\frac{1}{\alpha\beta} \sum_k \Big[ p_k^\alpha q_k^\beta
            - \tfrac{\alpha}{\alpha+\beta} p_k^{\alpha+\beta} - \tfrac{\beta}{\alpha+\beta} q_k^{\alpha+\beta} \Big]

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.
    - α -> `alpha`: any real number. The paper uses 0.2 for language models and 0.8 for CIFAR-100.
    - β -> `beta`: any real number. The paper uses 0.7 for language models and 0.3 for CIFAR-100.

    Its limits at α = 0, at β = 0 and at α + β = 0 are

    .. math::

        D_{0,\beta} &= \frac{1}{\beta^2} \sum_k \big[ q_k^\beta \log (q_k^\beta / p_k^\beta)
            - q_k^\beta + p_k^\beta \big] \\
        D_{\alpha,0} &= \frac{1}{\alpha^2} \sum_k \big[ p_k^\alpha \log (p_k^\alpha / q_k^\alpha)
            - p_k^\alpha + q_k^\alpha \big] \\
        D_{\alpha,-\alpha} &= \frac{1}{\alpha^2} \sum_k \big[ (p_k/q_k)^\alpha - 1 - \alpha \log (p_k/q_k) \big] \\
        D_{0,0} &= \frac{1}{2} \sum_k (\log p_k - \log q_k)^2

    so that (1, 0) is `forward_kl` and (0, 1) is `reverse_kl`. The released code has the factors 1/β, 1/α and 1/α in
    place of 1/β², 1/α² and 1/α². We follow the limits.

    Computed as a second divided difference of exp, for which α = 0, β = 0 and α + β = 0 are ordinary points: value and
    gradient are continuous there. Where α, β ≥ 0 and α + β ≥ 0.25 the two slopes give the same value faster.

    A class at -inf on both sides contributes 0. A class at -inf for the teacher alone contributes q^(α+β) / (α(α+β)) if
    α and α + β are positive, and +inf otherwise. A class at -inf for the student alone contributes p^(α+β) / (β(α+β))
    if β and α + β are positive, and +inf otherwise.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        alpha: Number, or a tensor that broadcasts against the leading shape (...), such as one value per position.
        beta: As `alpha`. Neither receives a gradient.

    Returns:
        Divergence, shape (...), never negative; in nats at (1, 0) and (0, 1). First derivatives with respect to
        `log_p` and `log_q` are closed forms; second derivatives are not available.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
        >>> round(alpha_beta_divergence(log_p, log_q, 1.0, 0.0).item(), 4)
        0.5108
    """
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    a = exponent_column(alpha, log_q)
    b = exponent_column(beta, log_q)
    result: Tensor = _AlphaBeta.apply(log_p, log_q, a, b, powers_fit(alpha, beta))
    return result


def alpha_beta_slope(log_p: Tensor, log_q: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    r"""Compute the weight g of each class, from which the gradient of the α-β-divergence follows.

    Paper: Wang et al., "ABKD", ICML 2025, arXiv 2505.04560. It calls the effect of the factor with α
    hardness-concentration, and the effect of the factor with β confidence-concentration.

    .. math::

        g_k = -\frac{\partial D_{\alpha,\beta}}{\partial \log q_k}
            = q_k^\beta \, \frac{p_k^\alpha - q_k^\alpha}{\alpha}, \qquad
        \frac{\partial D_{\alpha,\beta}}{\partial z_k} = q_k \sum_j g_j - g_k

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k; z are the student's logits, q = softmax(z).
    - α -> `alpha`: any real number; at α = 0 the quotient is its limit log(p/q).
    - β -> `beta`: any real number.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        alpha: Number, or a tensor that broadcasts against the leading shape (...).
        beta: As `alpha`.

    Returns:
        Weights g, shape (..., V).

    Example:
        >>> import torch
        >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
        >>> [round(g, 4) for g in alpha_beta_slope(log_p, log_q, 1.0, 0.0).tolist()]
        [-0.4, 0.4]
    """
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    a = exponent_column(alpha, log_q)
    b = exponent_column(beta, log_q)
    return slope(log_p, log_q, a, b, powers_fit(alpha, beta))


class _AlphaBeta(torch.autograd.Function):
    """The divergence of each position, with both slopes computed in the forward pass."""

    @staticmethod
    def forward(ctx: Context, log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, powers_fit: bool) -> Tensor:
        of_teacher, of_student, *_ = ctx.needs_input_grad
        found = compare(log_p, log_q, alpha, beta, powers_fit, of_teacher)
        ctx.save_for_backward(
            None if found.teacher is None else found.teacher.product(),
            found.student.product() if of_student else None,
        )
        return found.values

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Where a side needs no gradient, None was saved for it.
        slopes: tuple[Tensor | None, ...] = ctx.saved_tensors
        return *(None if slope is None else _times(slope, -grad.unsqueeze(-1)) for slope in slopes), None, None, None


def _times(slope: Tensor, upstream: Tensor) -> Tensor:
    """Multiply; positions that do not count have no gradient, even if their slopes are infinite."""
    product = upstream * slope
    if can_read_without_sync(upstream) and bool(upstream.all()):
        return product
    return product.masked_fill_(upstream == 0.0, 0.0)
