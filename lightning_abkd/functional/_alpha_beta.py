"""The α-β-divergence, and the slope that its gradient is made of."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, check_same_shape
from lightning_abkd.functional._numerics import (
    bound_infinities,
    can_read_without_sync,
    first_difference,
    promote_to_float32,
    second_difference,
)

# Where |α + β| is smaller, dividing a term by it costs digits that the divided difference keeps.
_SMALLEST_TOTAL = 0.25


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
    from_slopes = _follows_from_slopes(alpha, beta)
    result: Tensor = _AlphaBeta.apply(log_p, log_q, _column(alpha, log_q), _column(beta, log_q), from_slopes)
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
    return _slope(*bound_infinities(log_p, log_q), _column(alpha, log_q), _column(beta, log_q))


class _AlphaBeta(torch.autograd.Function):
    """The divergence of each position, with both slopes computed in the forward pass."""

    @staticmethod
    def forward(ctx: Context, log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, from_slopes: bool) -> Tensor:
        u, v = bound_infinities(log_p, log_q)
        teacher: Tensor | None
        student: Tensor | None
        # Duality: D_αβ(p‖q) = D_βα(q‖p).
        if from_slopes:
            teacher = _slope(v, u, beta, alpha)
            student = _slope(u, v, alpha, beta)
            # Accurate to the rounding of d, like the divided difference, at a fraction of its cost.
            terms = (teacher + student).div_(-(alpha + beta))
        else:
            teacher = _slope(v, u, beta, alpha) if ctx.needs_input_grad[0] else None
            student = _slope(u, v, alpha, beta) if ctx.needs_input_grad[1] else None
            terms = _terms(u, v, alpha, beta)
        ctx.save_for_backward(
            teacher if ctx.needs_input_grad[0] else None, student if ctx.needs_input_grad[1] else None
        )
        if u is not log_p:
            terms.masked_fill_(_infinite_terms(log_p, log_q, alpha, beta), torch.inf)
        return terms.sum(-1).clamp_(min=0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        # Where a side needs no gradient, None was saved for it.
        slopes: tuple[Tensor | None, ...] = ctx.saved_tensors
        return *(None if slope is None else -grad.unsqueeze(-1) * slope for slope in slopes), None, None, None


def _follows_from_slopes(alpha: float | Tensor, beta: float | Tensor) -> bool:
    """Return True if the slopes give the value; False for exponents on a device, to avoid reading them.

    Every α + β should be far enough from 0 to divide by. At negative exponents the slopes overflow before their sum.
    """
    total = alpha + beta
    if isinstance(total, Tensor) and not can_read_without_sync(total):
        return False
    suits = (total >= _SMALLEST_TOTAL) & (alpha >= 0.0) & (beta >= 0.0)
    return bool(suits.all()) if isinstance(suits, Tensor) else suits


def _column(value: float | Tensor, like: Tensor) -> Tensor:
    """Return an exponent as a tensor that broadcasts against (..., V), constant in the backward pass."""
    if isinstance(value, Tensor):
        return value.detach().to(like).unsqueeze(-1)
    return torch.full((1,), value, dtype=like.dtype, device=like.device)


def _slope(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute -∂D/∂log q = q^(α+β) (e^(αd) - 1)/α, d = log p - log q, with the larger exponential factored out.

    Here and below u = log p and v = log q, both finite.
    """
    d = u - v
    larger = torch.maximum((alpha + beta) * v, (alpha * u).add_(beta * v))
    larger = _without_equal_classes(larger, d, alpha, beta).exp_()
    return larger.mul_(d).mul_(first_difference(d.mul_(alpha).abs_()))


def _terms(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute the term of each class, max(p, q)^s d² exp[0, -c|d|, -s|d|] >= 0, as a divided difference.

    s = α + β, d = u - v, and c = α where q > p, β where p > q.
    """
    total = alpha + beta
    distance = (u - v).abs()
    student_larger = u < v
    by_alpha = _sorted_nodes(alpha, total)
    by_beta = _sorted_nodes(beta, total)
    low = torch.where(student_larger, by_alpha.low, by_beta.low)
    gap = torch.where(student_larger, by_alpha.gap, by_beta.gap)
    next_gap = torch.where(student_larger, by_alpha.next_gap, by_beta.next_gap)
    # The lowest node joins the power in one exponent, so that neither factor overflows alone.
    exponent = total * torch.maximum(u, v) - low * distance
    power = _without_equal_classes(exponent, distance, alpha, beta).exp_()
    return power * distance.square() * second_difference(gap * distance, next_gap * distance)


def _without_equal_classes(exponent: Tensor, distance: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Set the exponents of classes with p = q to 0, in place: the power may be inf otherwise, and inf · 0 is NaN."""
    if not can_read_without_sync(alpha) or bool((torch.minimum(alpha, beta) < 0.0).any()):
        exponent.masked_fill_(distance == 0.0, 0.0)
    return exponent


class _SortedNodes(NamedTuple):
    """Three nodes of a divided difference: the lowest, the gap to the middle one, and from there to the highest."""

    low: Tensor
    gap: Tensor
    next_gap: Tensor


def _sorted_nodes(node: Tensor, total: Tensor) -> _SortedNodes:
    """Sort the nodes 0, node and total."""
    zero = torch.zeros_like(total)
    smaller = torch.minimum(node, total)
    larger = torch.maximum(node, total)
    low = torch.minimum(smaller, zero)
    middle = torch.maximum(smaller, torch.minimum(larger, zero))
    return _SortedNodes(low, middle - low, torch.maximum(larger, zero) - middle)


def _infinite_terms(log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Return True for classes that only one side excludes and whose term is infinite."""
    no_p = torch.isneginf(log_p)
    no_q = torch.isneginf(log_q)
    unbounded_total = alpha + beta <= 0
    return (no_p & ~no_q & ((alpha <= 0) | unbounded_total)) | (no_q & ~no_p & ((beta <= 0) | unbounded_total))
