"""Rows of logits, some at a time, with all their classes."""

from typing import TYPE_CHECKING

from torch import Tensor

from lightning_abkd.distributed._layout import is_sharded, joined_from, whole

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor


class RowBlocks:
    """Rows of logits (..., V); where the classes lie on several processes, each block is gathered when it is asked for.

    For evaluations, which need whole rows and no gradient: nothing of the logits' size is ever gathered at once, unless
    the positions lie on several processes, too.

    Args:
        logits: Shape (..., V), a tensor or a DTensor.

    Example:
        >>> import torch
        >>> RowBlocks(torch.arange(6.0).view(3, 1, 2)).block(slice(1, 3))
        tensor([[2., 3.],
                [4., 5.]])
    """

    def __init__(self, logits: Tensor) -> None:
        self._sharded: DTensor | None = None
        last = logits.dim() - 1
        if is_sharded(logits) and all(not x.is_shard() or x.is_shard(last) for x in logits.placements):
            self._sharded = logits
            rows = logits.to_local()
        else:
            rows = whole(logits)
        self._rows = rows.reshape(logits.shape[:-1].numel(), rows.shape[-1])

    def block(self, rows: slice | Tensor) -> Tensor:
        """Return some rows (n, V), a slice or an index of all, with all their classes."""
        part = self._rows[rows]
        if self._sharded is None:
            return part
        from torch.distributed.tensor import Replicate, Shard

        placements = [Shard(1) if x.is_shard() else Replicate() for x in self._sharded.placements]
        return whole(joined_from(part, self._sharded.device_mesh, placements, (len(part), self._sharded.shape[-1])))
