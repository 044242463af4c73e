"""Tokens of samples of different lengths in one array."""

import torch
from torch import Tensor


class Ragged:
    """Rows of the tokens of every sample in an array that holds all tokens, one sample after the other.

    Args:
        counts: Counted tokens of every sample, shape (samples,), int64.

    Example:
        >>> Ragged(torch.tensor([2, 0, 3])).rows(torch.tensor([2, 0])).tolist()
        [2, 3, 4, 0, 1]
    """

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts
        self._starts = counts.cumsum(0) - counts

    def check_positions(self, indices: Tensor) -> Tensor:
        """Return positions of samples (B,) as int64 on the CPU.

        Raises:
            ValueError: If one is outside the data set.
        """
        indices = indices.to("cpu", torch.int64)
        if indices.ndim != 1 or not ((indices >= 0) & (indices < len(self.counts))).all():
            raise ValueError(
                f"Parameter `indices` should hold positions from 0 to {len(self.counts) - 1}, shape (B,). "
                f"Found `indices = {indices.tolist()}`."
            )
        return indices

    def rows(self, indices: Tensor) -> Tensor:
        """Return the rows (N,) of the tokens of samples (B,), one sample after the other."""
        counts = self.counts[indices]
        before = counts.cumsum(0) - counts
        return torch.arange(int(counts.sum())) + (self._starts[indices] - before).repeat_interleave(counts)
