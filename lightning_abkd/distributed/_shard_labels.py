"""Cross-entropy and most probable class of logits that are sharded over the vocabulary."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.distributed import ProcessGroup

from lightning_abkd._utils import Context
from lightning_abkd.distributed._layout import is_sharded, layout_of, whole
from lightning_abkd.distributed._shard_rows import ShardRows, all_reduce, normalize
from lightning_abkd.distributed._shard_sums import stored


def cross_entropy_from_shards(
    logits: Tensor, labels: Tensor, first_class: int = 0, groups: Sequence[ProcessGroup] = (), ignore_index: int = -100
) -> Tensor:
    r"""Compute the cross-entropy of each position from logits of which each process holds some classes.

    .. math::

        C = \log \sum_r \sum_{k \in V_r} e^{z_k - M} - \sum_r \big[ l \in V_r \big] (z_l - M), \qquad
        \frac{\partial C}{\partial z_k} = q_k - [k = l]

    where:

    - z -> `logits`: the process r holds those of its classes V_r, which start at `first_class`. M is the largest z of
      all classes, and q is their softmax.
    - l -> `labels`: class indices among all classes; one that no process holds is read as a class at -inf.

    No logits are gathered: two all-reduces tell all processes the largest logits, the sums of exponentials and the
    logits of the labels.

    Args:
        logits: Shape (..., v), any floating dtype; v classes, which may be another number on each process, or 0.
        labels: Shape (...), the same on all processes of a row.
        first_class: Index of this process's first class.
        groups: The processes that hold one row together, see `alpha_beta_from_shards`.
        ignore_index: Label of positions that do not count, which give 0.

    Returns:
        Cross-entropy in nats, shape (...), float32 or wider, the same on all processes of a row.

    Example:
        >>> cross_entropy_from_shards(torch.zeros(2, 4), torch.tensor([3, -100])).exp()
        tensor([4., 1.])
    """
    shape = logits.shape
    flat = logits.reshape(shape[:-1].numel(), shape[-1])
    index = (labels.reshape(-1) != ignore_index).nonzero().squeeze(-1)
    own = labels.reshape(-1)[index].long() - first_class
    values: Tensor = _CrossEntropy.apply(flat, own, index, tuple(groups))
    return values.view(shape[:-1])


class _LabelContext(Context):
    dtype: torch.dtype


class _CrossEntropy(torch.autograd.Function):
    """The cross-entropy of the rows in `index`, whose labels count from this process's first class, and 0 elsewhere."""

    @staticmethod
    def forward(
        ctx: _LabelContext, logits: Tensor, labels: Tensor, index: Tensor, groups: Sequence[ProcessGroup]
    ) -> Tensor:
        dtype = torch.promote_types(logits.dtype, torch.float32)
        side = ShardRows(logits, torch.ones((), dtype=dtype, device=logits.device), index, dtype)
        values = logits.new_zeros(len(logits), dtype=dtype)
        gradient = torch.zeros_like(logits, dtype=dtype) if ctx.needs_input_grad[0] else None
        held = (labels >= 0) & (labels < logits.shape[-1])
        if side.count:
            picked = torch.zeros_like(values[index])
            picked[held] = logits[index[held], labels[held]].to(dtype)
            found = normalize([side], groups, picked)[0]
            values[index] = side.log_total.squeeze(-1) + (side.largest.squeeze(-1) - found)
        if gradient is not None:
            for rows in side.chunks():
                gradient[index[rows]] = side.log_probabilities(rows).exp_()
            gradient[index[held], labels[held]] -= 1.0
        ctx.dtype = logits.dtype
        ctx.save_for_backward(stored(gradient, logits.dtype))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: _LabelContext, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradient: Tensor | None = ctx.saved_tensors[0]
        return None if gradient is None else (gradient * upstream.unsqueeze(-1)).to(ctx.dtype), None, None, None


@torch.no_grad()
def most_probable(logits: Tensor) -> Tensor:
    """Return the most probable class of each position, of several the first; no logits are gathered.

    Args:
        logits: Shape (..., V), a tensor or a DTensor.

    Returns:
        Class indices of all positions, shape (...).

    Example:
        >>> most_probable(torch.tensor([[0.0, 2.0, 2.0]]))
        tensor([1])
    """
    if not is_sharded(logits):
        return logits.argmax(-1)
    layout = layout_of({"logits": logits})
    local = layout.local_logits(logits)
    largest = local.new_full(local.shape[:-1], -torch.inf)
    found = torch.zeros_like(largest, dtype=torch.long)
    if local.shape[-1]:
        largest = local.amax(-1)
        found = local.argmax(-1) + layout.first_class
    # gloo compares no float16; float32 holds both halves.
    own = largest.to(torch.promote_types(largest.dtype, torch.float32))
    best = all_reduce(own.clone(), layout.class_groups, dist.ReduceOp.MAX)
    found = found.masked_fill(own != best, logits.shape[-1])
    return whole(layout.joined(all_reduce(found, layout.class_groups, dist.ReduceOp.MIN)))
