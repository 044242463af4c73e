"""The k most probable classes of a distribution and all others as one: k + 1 buckets."""

from typing import NamedTuple

import torch
from torch import Tensor

# Largest number of log-probabilities that are in memory at once.
_CHUNK_ELEMENTS = 1 << 24
# The log-probability of an excluded class. Unlike -inf it leaves logsumexp a gradient when all other classes are -inf.
_EXCLUDED = -1e30


class LargestClasses(NamedTuple):
    """The most probable classes of rows, all on the CPU. Example: see `largest_classes`."""

    ids: Tensor
    """Shape (N, k), int32, the most probable first."""
    log_p: Tensor
    """Log-probabilities of these and of the rest, shape (N, k + 1), float16."""
    lost: Tensor
    """Mass of the rest and entropy lost by merging it, in nats, shape (N, 2), float64."""


def top_k_buckets(logits: Tensor, ids: Tensor) -> Tensor:
    r"""Compute the log-probabilities of k classes and of all others together.

    .. math::

        b_j = \log q_{i_j} \quad (j = 1, \dots, k), \qquad b_{k+1} = \log \sum_{v \notin \{i_1, \dots, i_k\}} q_v

    where:

    - q -> softmax of `logits` over the V classes.
    - i -> `ids`: k different classes, 1 <= k < V.

    The rest is the logsumexp of the other classes, which keeps the digits that 1 - Σ would lose. These k + 1 numbers
    are exact. At k = V - 1 a divergence between the buckets of two networks equals that between the networks. For
    f-divergences, such as both KL, it is never larger. The buckets of a cached teacher are those of temperature 1;
    buckets of another temperature cannot be computed from them.

    Args:
        logits: Shape (..., V), any floating dtype; float16 and bfloat16 are promoted to float32.
        ids: Classes to keep, distinct, shape (..., k), int64.

    Returns:
        Log-probabilities, the rest last, shape (..., k + 1), differentiable with respect to `logits`. Rows are
        independent, so that they may be computed in chunks.

    Example:
        >>> top_k_buckets(torch.tensor([0.5, 0.3, 0.1, 0.1]).log(), torch.tensor([1, 0])).exp()
        tensor([0.3000, 0.5000, 0.2000])
    """
    log_q = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    rest = log_q.scatter(-1, ids, _EXCLUDED).logsumexp(-1, keepdim=True)
    return torch.cat((log_q.gather(-1, ids), rest), -1)


@torch.no_grad()
def largest_classes(logits: Tensor, k: int, dtype: torch.dtype = torch.float16) -> LargestClasses:
    r"""Return the k most probable classes of every row, and what leaving the others out loses.

    .. math::

        t = \sum_{v \notin S} p_v, \qquad \Delta H = H(p) - H(p_S, t) = -\sum_{v \notin S} p_v \log p_v + t \log t

    where:

    - p -> softmax of `logits`; S are its `k` most probable classes.
    - t -> `lost[:, 0]`: the mass of the rest.
    - ΔH -> `lost[:, 1]`: the entropy of p minus that of its k + 1 buckets, in nats.

    Args:
        logits: Shape (N, V); log-probabilities work too.
        k: 1 <= k < V.
        dtype: Dtype of the log-probabilities that are returned; float16 changes each by up to 2⁻¹¹ of its value.

    Returns:
        Classes, log-probabilities and losses.

    Example:
        >>> found = largest_classes(torch.tensor([[0.1, 0.6, 0.1, 0.2]]).log(), k=2)
        >>> found.ids.tolist(), [round(mass, 3) for mass in found.log_p.exp().flatten().tolist()]
        ([[1, 3]], [0.6, 0.2, 0.2])
    """
    chunks = [_largest(chunk, k, dtype) for chunk in logits.split(max(1, _CHUNK_ELEMENTS // logits.shape[-1]))]
    return LargestClasses(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def _largest(logits: Tensor, k: int, dtype: torch.dtype) -> LargestClasses:
    log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    kept, ids = log_p.topk(k, -1)
    others = log_p.scatter_(-1, ids, -torch.inf)
    rest = others.logsumexp(-1, keepdim=True)
    mass = rest.exp()
    # Summed over the rest only, because the difference of the two whole entropies would cancel.
    lost = torch.special.entr(others.exp_()).sum(-1, keepdim=True) - torch.special.entr(mass)
    buckets = torch.cat((kept, rest), -1).to(dtype)
    return LargestClasses(ids.int().cpu(), buckets.cpu(), torch.cat((mass, lost.clamp(min=0.0)), -1).cpu().double())
