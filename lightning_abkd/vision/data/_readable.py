"""Which of the stored images can be read."""

from typing import NamedTuple

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_abkd.vision.data._image_folder import listed
from lightning_abkd.vision.data._samples import LabelledImages, file_of, read_sample

_BATCH = 64
_SHOWN = 20


class _Attempts(Dataset[bool]):
    """Whether each stored image can be read."""

    def __init__(self, stored: LabelledImages) -> None:
        self.stored = stored
        self.count = len(stored.targets)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> bool:
        try:
            read_sample(self.stored, index)
        except OSError:
            return False
        return True


class Readable(NamedTuple):
    """Positions of the images that can be read, ascending, and the names of the others."""

    indices: Tensor
    others: list[str]

    def report(self, split: str) -> None:
        """Say once how many images of a split are left out, and which."""
        if self.others:
            rank_zero_info(
                f"Left out {len(self.others)} of the {len(self.indices) + len(self.others)} {split} images, which "
                f"cannot be read: {listed(self.others, _SHOWN)}."
            )


def find_readable(stored: LabelledImages, num_workers: int) -> Readable:
    """Read every stored image once, by as many processes as will load them.

    Args:
        stored: The data set.
        num_workers: Processes that read; 0 reads in this one.

    Returns:
        The positions of those that can be read, and the names of the others.

    Raises:
        OSError: If none of them can be read; the error is that of the first.
    """
    # With a generator of its own the loader leaves the random numbers of the training alone.
    loader = DataLoader(
        _Attempts(stored), _BATCH, num_workers=num_workers, collate_fn=torch.tensor, generator=torch.Generator()
    )
    right = torch.cat([torch.zeros(0, dtype=torch.bool), *loader])
    if len(right) and not right.any():
        read_sample(stored, 0)
    others = [file_of(stored, int(index)) or f"number {index}" for index in (~right).nonzero().flatten()]
    return Readable(right.nonzero().flatten(), others)
