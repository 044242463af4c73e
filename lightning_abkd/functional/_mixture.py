"""Divergences from a mixture of teacher and student."""

import math

import torch
from torch import Tensor

from lightning_abkd.functional._alpha_beta import forward_kl
from lightning_abkd.functional._numerics import promote


def _mixture(log_p: Tensor, log_q: Tensor, share: float) -> Tensor:
    """Compute log(share · p + (1 - share) · q) without leaving log space, for a share in the open interval (0, 1)."""
    log_p, log_q = promote(log_p, log_q)
    # logaddexp has a NaN gradient where both sides are -inf.
    dead = torch.isneginf(log_p) & torch.isneginf(log_q)
    weighted = log_p.masked_fill(dead, 0.0) + math.log(share), log_q.masked_fill(dead, 0.0) + math.log1p(-share)
    return torch.logaddexp(*weighted).masked_fill(dead, -torch.inf)


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
    mixture = _mixture(log_p, log_q, weight)
    return weight * forward_kl(log_p, mixture) + (1.0 - weight) * forward_kl(log_q, mixture)


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
    return forward_kl(log_p, _mixture(log_p, log_q, skew))


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
    return forward_kl(log_q, _mixture(log_p, log_q, 1.0 - skew))
