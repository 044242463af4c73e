"""The k likeliest classes of a distribution and all others as one: k + 1 buckets."""

from typing import NamedTuple

import torch
from torch import Tensor

# Elements of the log-probabilities that exist at once.
_CHUNK_ELEMENTS = 1 << 24
# A log-probability of nothing that, unlike -inf, leaves logsumexp a gradient when all else is -inf.
_NOTHING = -1e30


class LargestClasses(NamedTuple):
    """What `largest_classes` gives, on the processor."""

    ids: Tensor
    """Shape (N, k), int32, the likeliest first."""
    log_p: Tensor
    """Log-probabilities of these and of the rest, shape (N, k + 1), float16."""
    lost: Tensor
    """Mass of the rest and entropy lost by merging it, in nats, shape (N, 2), float64."""


def top_k_buckets(logits: Tensor, ids: Tensor) -> Tensor:
    """Compute the log-probabilities of k classes and of all others together.

    The rest is the logsumexp of what is left, which keeps its digits where 1 - Σ would lose them. Nothing is
    approximated in these k + 1 numbers; divergences between the buckets of two networks are those between the networks
    at k = V - 1, and never larger for f-divergences such as both KL. A cached teacher has its buckets at temperature 1,
    and those of another temperature do not follow from them.

    Args:
        logits: Shape (..., V), any floating dtype; float16 and bfloat16 are promoted to float32.
        ids: Classes to keep, distinct, shape (..., k), int64.

    Returns:
        Log-probabilities, the rest last, shape (..., k + 1), differentiable by `logits`. Rows are independent, so that
        chunks of them may be computed one by one.

    Example:
        >>> top_k_buckets(torch.tensor([0.5, 0.3, 0.1, 0.1]).log(), torch.tensor([1, 0])).exp()
        tensor([0.3000, 0.5000, 0.2000])
    """
    log_q = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    rest = log_q.scatter(-1, ids, _NOTHING).logsumexp(-1, keepdim=True)
    return torch.cat((log_q.gather(-1, ids), rest), -1)


@torch.no_grad()
def largest_classes(logits: Tensor, k: int) -> LargestClasses:
    """Choose the k likeliest classes of every row and say what leaving the others out loses.

    The entropy lost is that of p minus that of its k + 1 buckets: t H(p given the rest) for a rest of mass t.

    Args:
        logits: Shape (N, V); log-probabilities do as well.
        k: 1 <= k < V.

    Returns:
        Classes, log-probabilities and losses.
    """
    chunks = [_largest(chunk, k) for chunk in logits.split(max(1, _CHUNK_ELEMENTS // logits.shape[-1]))]
    return LargestClasses(*(torch.cat(parts) for parts in zip(*chunks, strict=True)))


def _largest(logits: Tensor, k: int) -> LargestClasses:
    log_p = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
    kept, ids = log_p.topk(k, -1)
    others = log_p.scatter_(-1, ids, -torch.inf)
    rest = others.logsumexp(-1, keepdim=True)
    mass = rest.exp()
    # The rest alone, since the difference of two entropies would cancel.
    lost = torch.special.entr(others.exp_()).sum(-1, keepdim=True) - torch.special.entr(mass)
    buckets = torch.cat((kept, rest), -1).to(torch.float16)
    return LargestClasses(ids.int().cpu(), buckets.cpu(), torch.cat((mass, lost.clamp(min=0.0)), -1).cpu().double())
