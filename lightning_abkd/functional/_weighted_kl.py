"""Sums of both Kullback-Leibler directions whose weights come from the distributions."""

import torch
from torch import Tensor

from lightning_abkd._utils import check_at_least, check_interval
from lightning_abkd.functional._family import forward_kl, reverse_kl
from lightning_abkd.functional._numerics import promote_to_float32, weighted


def adaptive_kl(log_p: Tensor, log_q: Tensor, mass: float = 0.5) -> Tensor:
    r"""Compute adaptive KL, the sum of both KL directions weighted by where teacher p and student q differ.

    Paper: Wu et al. 2024 (AKL), arXiv 2404.02657, as in ABKD's released code.

    .. math::

        \mathrm{AKL}(p\|q) = h \, \mathrm{KL}(p\|q) + (1 - h) \, \mathrm{KL}(q\|p), \qquad
        h = \frac{\sum_{k \in H} |p_k - q_k|}{\sum_k |p_k - q_k|}

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes k.
    - H: the teacher's head, its most probable classes while their cumulative probability is at most μ, and always the
      first one.
    - μ -> `mass`: probability of the head, in [0, 1]; the paper uses 0.5.

    The weight h receives no gradient.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        mass: Probability of the head, in [0, 1].

    Returns:
        Divergence in nats, shape (...).

    Raises:
        ValueError: If `mass` is outside [0, 1], or the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(adaptive_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        0.4394
    """
    check_interval("mass", mass, "[0, 1]")
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    with torch.no_grad():
        descending = log_p.exp().sort(dim=-1, descending=True, stable=True)
        gap = (descending.values - log_q.exp().gather(-1, descending.indices)).abs()
        head = descending.values.cumsum(-1) <= mass
        head[..., 0] = True
        share = (gap * head).sum(-1) / gap.sum(-1).clamp(min=torch.finfo(gap.dtype).tiny)
    return weighted(share, forward_kl(log_p, log_q)) + weighted(1.0 - share, reverse_kl(log_p, log_q))


def entropy_weighted_kl(log_p: Tensor, log_q: Tensor, factor: float = 3.0) -> Tensor:
    r"""Compute the sum of both KL directions, with a larger weight for that of the more uncertain distribution.

    Paper: Amara et al. 2022 (BD-KD), arXiv 2212.12965, as in ABKD's released code. That code leaves out the teacher's
    entropy, which changes the value but not the gradient with respect to the student. Here it is the divergence.

    .. math::

        D(p\|q) = w_p \, \mathrm{KL}(p\|q) + w_q \, \mathrm{KL}(q\|p), \qquad
        w_p = \begin{cases} c & H(p) > H(q) \\ 1 & \text{otherwise} \end{cases}, \quad
        w_q = \begin{cases} c & H(q) > H(p) \\ 1 & \text{otherwise} \end{cases}

    where:

    - p, q -> exp of `log_p`, `log_q`: distributions over the classes; H is the entropy.
    - c -> `factor`: weight of the favoured direction, at least 0; the released code uses 3.

    The weights receive no gradient.

    Args:
        log_p: Teacher log-probabilities, shape (..., V). float16 and bfloat16 are promoted to float32.
        log_q: Student log-probabilities, shape (..., V).
        factor: Weight of the favoured direction, at least 0.

    Returns:
        Divergence in nats, shape (...).

    Raises:
        ValueError: If `factor` is negative or not finite, or the shapes of `log_p` and `log_q` differ.

    Example:
        >>> import torch
        >>> round(entropy_weighted_kl(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.9, 0.1]).log()).item(), 4)
        1.9005
    """
    check_at_least("factor", factor, 0.0)
    log_p = promote_to_float32(log_p, log_q)
    log_q = promote_to_float32(log_q, log_p)
    with torch.no_grad():
        excess = torch.special.entr(log_p.exp()).sum(-1) - torch.special.entr(log_q.exp()).sum(-1)
        teacher_weight = 1.0 + (factor - 1.0) * (excess > 0)
        student_weight = 1.0 + (factor - 1.0) * (excess < 0)
    return weighted(teacher_weight, forward_kl(log_p, log_q)) + weighted(student_weight, reverse_kl(log_p, log_q))
