"""Rows that an evaluation sees twice, because all ranks get equally many."""

from collections.abc import Sized
from typing import NamedTuple

from lightning.pytorch import Trainer
from torch import Tensor
from torch.utils.data import BatchSampler, DistributedSampler

from lightning_abkd.training._batches import Signals
from lightning_abkd.training._lightning import evaluation_loader


class Repeated(NamedTuple):
    """The last row of a batch repeats one that another rank has.

    Args:
        rows: Number of rows of the batch.
    """

    rows: int

    def without(self, signals: Signals) -> Signals:
        """Leave out the positions of the last row.

        Example:
            >>> import torch
            >>> Repeated(rows=2).without({"labels": torch.tensor([3, 5])})
            {'labels': tensor([3])}
        """
        return {name: self._kept(value) for name, value in signals.items()}

    def _kept(self, value: Tensor) -> Tensor:
        """Drop the share of the last row, which may be several positions, of what has all rows as its first axis."""
        if value.dim() == 0 or len(value) % self.rows:
            return value
        return value[: len(value) // self.rows * (self.rows - 1)]


def repeated_row(trainer: Trainer, batch_idx: int, dataloader_idx: int) -> Repeated | None:
    """Return what to leave out of a batch of an evaluation, or None.

    `DistributedSampler` deals the positions of a set to the ranks in turn and starts anew where they do not come out
    even. So a rank has at most one row too many, its last one.

    Args:
        trainer: The trainer that evaluates.
        batch_idx: Number of the batch on this rank.
        dataloader_idx: Number of the set.
    """
    batches = getattr(evaluation_loader(trainer, dataloader_idx), "batch_sampler", None)
    sampler = getattr(batches, "sampler", None)
    if not isinstance(batches, BatchSampler) or not isinstance(sampler, DistributedSampler):
        return None
    last = sampler.num_samples - 1
    size = batches.batch_size
    begins = batch_idx * size
    dealt: Sized = getattr(sampler, "dataset")  # noqa: B009  (a Dataset is not typed as having a length)
    is_extra = sampler.rank + last * sampler.num_replicas >= len(dealt)
    return Repeated(last - begins + 1) if is_extra and begins <= last < begins + size else None
