"""The cross-entropy on labels, also of logits that lie on several processes."""

import torch
from torch import Tensor

from lightning_abkd.distributed import cross_entropy_from_shards, is_sharded, layout_of, sum_over_processes
from lightning_abkd.functional import promote_to_float32


def mean_cross_entropy(logits: Tensor, labels: Tensor, ignore_index: int = -100) -> Tensor:
    r"""Compute the mean cross-entropy of the positions with a label, in float32 or wider.

    .. math::

        L = -\frac{1}{N} \sum_{n=1}^{N} \log \mathrm{softmax}(z_n)_{l_n}

    where:

    - z_n -> `logits` of the n-th of N positions whose label is not `ignore_index`.
    - l_n -> `labels`.

    Logits may lie on several processes, as DTensors that are sharded over classes (tensor-parallel vocabularies),
    positions or both. They are not gathered, the mean is that over all processes, and all of them get the same.

    Args:
        logits: Shape (..., V), any floating dtype.
        labels: Class indices, shape (...).
        ignore_index: Label of positions that do not count.

    Returns:
        The mean, shape (); 0 with zero gradients if no position counts.

    Raises:
        ValueError: If the labels have another shape, or the logits are sums that are pending.

    Example:
        >>> mean_cross_entropy(torch.zeros(1, 2, 4), torch.tensor([[3, -100]])).exp()
        tensor(4.)
    """
    if labels.shape != logits.shape[:-1]:
        raise ValueError(
            f"Parameter `labels` should have shape {tuple(logits.shape[:-1])}. Found {tuple(labels.shape)}. Give one "
            "class index for each position."
        )
    if is_sharded(logits):
        return _sharded_mean(logits, labels, ignore_index)
    flat = promote_to_float32(logits.flatten(0, -2))
    labels = labels.flatten().long()
    total = torch.nn.functional.cross_entropy(flat, labels, ignore_index=ignore_index, reduction="sum")
    return total / (labels != ignore_index).sum().clamp(min=1)


def _sharded_mean(logits: Tensor, labels: Tensor, ignore_index: int) -> Tensor:
    layout = layout_of({"logits": logits})
    local = layout.local_logits(logits)
    own = layout.local_positions(labels)
    total = cross_entropy_from_shards(local, own, layout.first_class, layout.class_groups, ignore_index).sum()
    count = (own != ignore_index).sum()
    groups = layout.position_groups
    return sum_over_processes(total, groups) / sum_over_processes(count, groups).clamp(min=1)
