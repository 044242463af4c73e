"""Sums of both Kullback-Leibler directions whose weights come from the distributions."""

import torch
from torch import Tensor

from lightning_abkd.functional._alpha_beta import forward_kl, reverse_kl
from lightning_abkd.functional._numerics import promote


def adaptive_kl(log_p: Tensor, log_q: Tensor, mass: float = 0.5) -> Tensor:
    """Adaptive KL h KL(p‖q) + (1 - h) KL(q‖p), h the share of the gap |p - q| that lies in the teacher's head.

    Wu et al. 2024, arXiv 2404.02657, as in ABKD's released code. The head holds the teacher's most probable classes
    while their cumulative probability is at most `mass`, and always the first one. h receives no gradient.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        mass: Probability μ of the head, in [0, 1]; the paper uses 0.5.

    Returns:
        Divergence in nats, shape (...).

    Raises:
        ValueError: If `mass` is outside [0, 1].

    Example:
        >>> import torch
        >>> round(adaptive_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.4394
    """
    if not 0.0 <= mass <= 1.0:
        raise ValueError(f"Parameter `mass` should lie in [0, 1]. Found `mass = {mass}`.")
    log_p, log_q = promote(log_p, log_q)
    with torch.no_grad():
        p, order = log_p.exp().sort(dim=-1, descending=True, stable=True)
        gap = (p - log_q.exp().gather(-1, order)).abs()
        head = p.cumsum(-1) <= mass
        head[..., 0] = True
        share = (gap * head).sum(-1) / gap.sum(-1).clamp(min=torch.finfo(gap.dtype).tiny)
    return share * forward_kl(log_p, log_q) + (1.0 - share) * reverse_kl(log_p, log_q)


def entropy_weighted_kl(log_p: Tensor, log_q: Tensor, factor: float = 3.0) -> Tensor:
    """Sum w_t KL(p‖q) + w_s KL(q‖p) that weighs the direction of the more uncertain distribution by `factor`.

    BDKD as in ABKD's released code: w_t = `factor` where H(p) > H(q), w_s = `factor` where H(q) > H(p), both 1
    otherwise. That code leaves out the teacher's entropy, which changes the value but not the gradient; here it is the
    divergence.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).
        factor: Weight of the favoured direction, at least 0; the released code uses 3.

    Returns:
        Divergence in nats, shape (...).

    Raises:
        ValueError: If `factor` is negative or not finite.

    Example:
        >>> import torch
        >>> round(entropy_weighted_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        1.9005
    """
    if not 0.0 <= factor < float("inf"):
        raise ValueError(f"Parameter `factor` should be finite and at least 0. Found `factor = {factor}`.")
    log_p, log_q = promote(log_p, log_q)
    with torch.no_grad():
        excess = torch.special.entr(log_p.exp()).sum(-1) - torch.special.entr(log_q.exp()).sum(-1)
        teacher, student = (1.0 + (factor - 1.0) * (sign > 0) for sign in (excess, -excess))
    weighted: Tensor = teacher * forward_kl(log_p, log_q) + student * reverse_kl(log_p, log_q)
    return weighted
