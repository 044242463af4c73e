"""The total variation distance."""

from torch import Tensor

from lightning_abkd.functional._numerics import promote


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Total variation distance ½ Σ |p - q|, in [0, 1].

    Wen et al. 2023 (f-distill), arXiv 2307.15190.

    Args:
        log_p: Teacher log-probabilities, shape (..., V).
        log_q: Student log-probabilities, shape (..., V).

    Returns:
        Distance, shape (...). Its gradient is that of the sign; at p = q it is 0.

    Example:
        >>> import torch
        >>> round(total_variation(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.4
    """
    log_p, log_q = promote(log_p, log_q)
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)
