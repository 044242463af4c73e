"""Divergences from a mixture of teacher and student."""

from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd.functional._numerics import finite, promote


class _Context(Protocol):
    saved_tensors: tuple[Tensor, ...]
    needs_input_grad: tuple[bool, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Euler(torch.autograd.Function):
    """Sum ∂D/∂log p + ∂D/∂log q, which is D where D grows with p and q in proportion, as all of these do."""

    @staticmethod
    def forward(ctx: _Context, log_p: Tensor, log_q: Tensor, by_teacher: Tensor, by_student: Tensor) -> Tensor:
        ctx.save_for_backward(by_teacher, by_student)
        return (by_teacher + by_student).sum(-1).clamp_(min=0.0)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        sides = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        return *(grad.unsqueeze(-1) * slope if needed else None for slope, needed in sides), None, None


def _ratios(log_p: Tensor, log_q: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Compute log(p/m) and log(q/m) for m = share · p + (1 - share) · q; neither cancels as p → q nor overflows."""
    u, v = finite(log_p, log_q)
    d = u - v
    of_student, of_teacher = d.new_tensor([1.0 - share, share]).unbind()
    other = torch.where(d > 0, of_student, of_teacher)
    rest = other.mul_(torch.expm1(-d.abs())).log1p_()
    return d.clamp(max=0.0).sub_(rest), d.clamp_(min=0.0).add_(rest).neg_()


def _check_share(name: str, value: float, limits: str) -> None:
    if not 0.0 < value < 1.0:
        raise ValueError(
            f"Parameter `{name}` should lie between 0 and 1, both excluded. Found `{name} = {value}`. {limits}"
        )


def jensen_shannon(log_p: Tensor, log_q: Tensor, weight: float = 0.5) -> Tensor:
    """Generalised Jensen-Shannon divergence w KL(p‖m) + (1 - w) KL(q‖m) with m = w p + (1 - w) q.

    Agarwal et al. 2024 (GKD), arXiv 2306.13649; their β is `weight`.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        weight: w, the teacher's share of the mixture, in (0, 1).

    Returns:
        Divergence in nats, shape (...), at most the entropy of (w, 1 - w).

    Raises:
        ValueError: If `weight` is not inside (0, 1); at both ends the divergence is identically 0.

    Example:
        >>> import torch
        >>> round(jensen_shannon(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.1017
    """
    _check_share("weight", weight, "Use `forward_kl` or `reverse_kl` for one direction alone.")
    log_p, log_q = promote(log_p, log_q)
    with torch.no_grad():
        a, b = _ratios(log_p, log_q, weight)
        # By p the slope is w (p a + p - p), as the mixture's own change takes away what p's adds.
        slopes = a.mul_(log_p.exp()).mul_(weight), b.mul_(log_q.exp()).mul_(1.0 - weight)
    result: Tensor = _Euler.apply(log_p, log_q, *slopes)
    return result


def skewed_forward_kl(log_p: Tensor, log_q: Tensor, skew: float = 0.1) -> Tensor:
    """Skewed forward divergence KL(p‖λ p + (1 - λ) q).

    Ko et al. 2024 (DistiLLM), arXiv 2402.03898, with λ = 0.1. Their code leaves out the teacher's entropy, which
    changes the value but not the gradient; here it is the true divergence.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        skew: λ, the teacher's share of the mixture, in (0, 1).

    Returns:
        Divergence in nats, shape (...).

    Raises:
        ValueError: If `skew` is not inside (0, 1).

    Example:
        >>> import torch
        >>> round(skewed_forward_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.3653
    """
    _check_share("skew", skew, "At 0 the divergence is `forward_kl`.")
    log_p, log_q = promote(log_p, log_q)
    with torch.no_grad():
        a, b = _ratios(log_p, log_q, skew)
        p = log_p.exp()
        by_student = b.exp_().mul_(p).mul_(skew - 1.0)
        # p (a + 1 - λ p/m), and λ p/m = 1 - (1 - λ) q/m.
        by_teacher = a.mul_(p).sub_(by_student)
    result: Tensor = _Euler.apply(log_p, log_q, by_teacher, by_student)
    return result


def skewed_reverse_kl(log_p: Tensor, log_q: Tensor, skew: float = 0.1) -> Tensor:
    """Skewed reverse divergence KL(q‖(1 - λ) p + λ q).

    Ko et al. 2024 (DistiLLM), arXiv 2402.03898, with λ = 0.1.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        skew: λ, the student's share of the mixture, in (0, 1).

    Returns:
        Divergence in nats, shape (...).

    Raises:
        ValueError: If `skew` is not inside (0, 1).

    Example:
        >>> import torch
        >>> round(skewed_reverse_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.3071
    """
    _check_share("skew", skew, "At 0 the divergence is `reverse_kl`.")
    return skewed_forward_kl(log_q, log_p, skew)
