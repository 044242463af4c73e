"""The total variation distance."""

from torch import Tensor

from lightning_abkd._utils import check_same_shape
from lightning_abkd.functional._numerics import promote_to_float32


def total_variation(log_p: Tensor, log_q: Tensor) -> Tensor:
    r"""Compute the total variation distance of teacher p and student q.

    Paper: Wen et al. 2023 (f-distill), arXiv 2307.15190.

    .. math::

        \mathrm{TV}(p, q) = \frac{1}{2} \sum_k |p_k - q_k|

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions, for which the distance lies in [0, 1].

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).

    Returns:
        Distance, shape (...). Its gradient uses sign(p - q), which is 0 where p = q.

    Raises:
        ValueError: If the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(total_variation(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.4
    """
    check_same_shape(log_p, log_q, ("log_p", "log_q"))
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    return 0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1)
