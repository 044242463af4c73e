"""The α-β-divergence and the named members of its family."""

from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd.functional._numerics import finite, first_difference, is_free_to_ask, promote, second_difference

# Below it the division of a term by |α + β| costs digits that its series does not.
_SMALLEST_TOTAL = 0.25


class _Context(Protocol):
    saved_tensors: tuple[Tensor | None, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor | None) -> None: ...


def _ordered(node: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Sort the nodes 0, node and total: the lowest and the two gaps above it."""
    zero = torch.zeros_like(total)
    smaller, larger = torch.minimum(node, total), torch.maximum(node, total)
    low, high = torch.minimum(smaller, zero), torch.maximum(larger, zero)
    middle = torch.maximum(smaller, torch.minimum(larger, zero))
    return low, middle - low, high - middle


def _terms(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute max(p, q)^s d² exp[0, -c|d|, -s|d|] of each class, c = α where q > p and β where p > q (all >= 0)."""
    total = alpha + beta
    distance, student_larger = (u - v).abs(), u < v
    sides = zip(_ordered(alpha, total), _ordered(beta, total), strict=True)
    low, gap, next_gap = (torch.where(student_larger, left, right) for left, right in sides)
    # The lowest node joins the power in one exponent, so that neither factor overflows alone.
    power = torch.exp(total * torch.maximum(u, v) - low * distance)
    return power * distance.square() * second_difference(gap * distance, next_gap * distance)


def _infinite(log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Tell which classes, excluded by one side alone, have no finite term."""
    total, no_p, no_q = alpha + beta, torch.isneginf(log_p), torch.isneginf(log_q)
    return (no_p & ~no_q & ((alpha <= 0) | (total <= 0))) | (no_q & ~no_p & ((beta <= 0) | (total <= 0)))


def _slope(u: Tensor, v: Tensor, alpha: Tensor, beta: Tensor) -> Tensor:
    """Compute -∂D/∂log q = q^s (e^(αd) - 1)/α, d = log p - log q, with the larger exponential taken out."""
    d = u - v
    larger = torch.maximum((alpha + beta) * v, (alpha * u).add_(beta * v)).exp_()
    return larger.mul_(d).mul_(first_difference(d.mul_(alpha).abs_()))


class _AlphaBeta(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: _Context, log_p: Tensor, log_q: Tensor, alpha: Tensor, beta: Tensor, far_from_zero: bool
    ) -> Tensor:
        u, v = finite(log_p, log_q)
        # Duality: D_αβ(p‖q) = D_βα(q‖p).
        teacher = _slope(v, u, beta, alpha) if far_from_zero or ctx.needs_input_grad[0] else None
        student = _slope(u, v, alpha, beta) if far_from_zero or ctx.needs_input_grad[1] else None
        ctx.save_for_backward(
            *(x if y else None for x, y in zip((teacher, student), ctx.needs_input_grad, strict=False))
        )
        if far_from_zero and teacher is not None and student is not None:
            # A quotient of both slopes, which cancels to the rounding of d, at a fraction of the price.
            terms = (teacher + student).div_(-(alpha + beta))
        else:
            terms = _terms(u, v, alpha, beta)
        if u is not log_p:
            terms.masked_fill_(_infinite(log_p, log_q, alpha, beta), torch.inf)
        return terms.sum(-1).clamp_(min=0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        slopes = (None if slope is None else -grad.unsqueeze(-1) * slope for slope in ctx.saved_tensors)
        return *slopes, None, None, None


def _is_far_from_zero(total: float | Tensor) -> bool:
    """Tell whether all α + β allow a division; asked of numbers that the processor knows, not of a device."""
    if not isinstance(total, Tensor):
        return abs(total) >= _SMALLEST_TOTAL
    return is_free_to_ask(total) and bool((total.detach().abs() >= _SMALLEST_TOTAL).all())


def _column(value: float | Tensor, like: Tensor) -> Tensor:
    """Make an exponent a tensor that broadcasts against (..., V), constant in the backward pass."""
    if isinstance(value, Tensor):
        return value.detach().to(like).unsqueeze(-1)
    return torch.full((1,), value, dtype=like.dtype, device=like.device)


def alpha_beta_divergence(log_p: Tensor, log_q: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    r"""α-β-divergence D(p‖q) of the student q from the teacher p.

    Paper: Wang et al., "ABKD", ICML 2025, arXiv 2505.04560; the family is Cichocki, Cruces & Amari 2011.

    .. math::
        D_{\alpha,\beta}(p\|q) = -\frac{1}{\alpha\beta} \sum_k \Big[ p_k^\alpha q_k^\beta
            - \tfrac{\alpha}{\alpha+\beta} p_k^{\alpha+\beta} - \tfrac{\beta}{\alpha+\beta} q_k^{\alpha+\beta} \Big]

    where p, q = exp(`log_p`), exp(`log_q`) and α, β = `alpha`, `beta` are any real numbers; the paper uses
    (0.2, 0.7) for language models and (0.8, 0.3) for CIFAR-100. It is evaluated as a second divided difference of
    exp, where α + β is not near 0 from both slopes, in which α = 0, β = 0 and α + β = 0 are ordinary points: value and
    gradient are continuous there. The released
    code has factors 1/β, 1/α, 1/α where the limits are 1/β², 1/α², 1/α²; we follow the limits.

    A class at -inf on both sides contributes 0. At -inf for the teacher alone it contributes q^(α+β)/(α(α+β)), for the
    student alone p^(α+β)/(β(α+β)), and +inf where those are not positive and finite.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        alpha: Number, or a tensor that broadcasts against the leading shape (...): one value a position is possible.
        beta: As `alpha`. Neither receives a gradient.

    Returns:
        Divergence in nats-like units, shape (...), never negative. First derivatives with respect to `log_p` and
        `log_q` are closed forms; second derivatives are not available.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
        >>> round(alpha_beta_divergence(log_p, log_q, 1.0, 0.0).item(), 4)
        0.5108
    """
    if log_p.shape != log_q.shape:
        raise ValueError(
            "Parameters `log_p` and `log_q` should have one shape. "
            f"Found {tuple(log_p.shape)} and {tuple(log_q.shape)}."
        )
    log_p, log_q = promote(log_p, log_q)
    exponents = _column(alpha, log_q), _column(beta, log_q)
    result: Tensor = _AlphaBeta.apply(log_p, log_q, *exponents, _is_far_from_zero(alpha + beta))
    return result


def alpha_beta_slope(log_p: Tensor, log_q: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Weights g = q^β (p^α - q^α)/α, shape (..., V), of the divergence's gradient q Σg - g by the student's logits.

    The first factor is the paper's confidence-concentration, the second its hardness-concentration, log(p/q) at α = 0.
    Arguments as in `alpha_beta_divergence`.

    Example:
        >>> log_p, log_q = torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()
        >>> [round(g, 4) for g in alpha_beta_slope(log_p, log_q, 1.0, 0.0).tolist()]
        [-0.4, 0.4]
    """
    log_p, log_q = promote(log_p, log_q)
    return _slope(*finite(log_p, log_q), _column(alpha, log_q), _column(beta, log_q))


def forward_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(p‖q) = Σ p log(p/q), the point (1, 0) of the family.

    Hinton et al. 2015, arXiv 1503.02531. Shapes, dtypes and gradients as in `alpha_beta_divergence`.

    Example:
        >>> import torch
        >>> round(forward_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.5108
    """
    return alpha_beta_divergence(log_p, log_q, 1.0, 0.0)


def reverse_kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Reverse Kullback-Leibler divergence KL(q‖p) = Σ q log(q/p), the point (0, 1) of the family.

    Gu et al. 2024 (MiniLLM), arXiv 2306.08543. Shapes, dtypes and gradients as in `alpha_beta_divergence`.

    Example:
        >>> import torch
        >>> round(reverse_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.3681
    """
    return alpha_beta_divergence(log_p, log_q, 0.0, 1.0)


def symmetric_kl(log_p: Tensor, log_q: Tensor, weight: float | Tensor = 0.5) -> Tensor:
    """Weighted sum (1 - λ) KL(p‖q) + λ KL(q‖p) of both Kullback-Leibler divergences.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        weight: λ, the share of the reverse direction, in [0, 1]; 0.5 is half of Jeffreys' divergence.

    Returns:
        Divergence in nats, shape (...).

    Example:
        >>> import torch
        >>> round(symmetric_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.4394
    """
    return (1.0 - weight) * forward_kl(log_p, log_q) + weight * reverse_kl(log_p, log_q)


def hellinger(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Squared Hellinger distance H² = ½ Σ (√p - √q)², a quarter of the point (½, ½) of the family, in [0, 1].

    Shapes, dtypes and gradients as in `alpha_beta_divergence`.

    Example:
        >>> import torch
        >>> round(hellinger(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.1056
    """
    return alpha_beta_divergence(log_p, log_q, 0.5, 0.5) / 4.0


def alpha_divergence(log_p: Tensor, log_q: Tensor, alpha: float | Tensor) -> Tensor:
    """Amari's α-divergence: the line (α, 1 - α), from reverse KL at α = 0 to forward KL at α = 1.

    Shapes, dtypes and gradients as in `alpha_beta_divergence`.

    Example:
        >>> import torch
        >>> round(alpha_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log(), 0.5).item(), 4)
        0.4223
    """
    return alpha_beta_divergence(log_p, log_q, alpha, 1.0 - alpha)


def beta_divergence(log_p: Tensor, log_q: Tensor, beta: float | Tensor) -> Tensor:
    """β-divergence (density power divergence, Basu et al. 1998): the line (1, β), forward KL at β = 0.

    Shapes, dtypes and gradients as in `alpha_beta_divergence`.

    Example:
        >>> import torch
        >>> round(beta_divergence(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log(), 1.0).item(), 4)
        0.16
    """
    return alpha_beta_divergence(log_p, log_q, 1.0, beta)
