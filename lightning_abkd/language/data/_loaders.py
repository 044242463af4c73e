"""Loaders of samples: each in a row of its own, or several in one row."""

from collections.abc import Sequence
from functools import partial

from torch.utils.data import DataLoader

from lightning_abkd.language.data._options import Loading
from lightning_abkd.language.data._packing import collate_packed
from lightning_abkd.language.data._text_samples import TextSample, collate

Numbered = tuple[int, TextSample]
Packed = list[TextSample]
Loader = DataLoader[Numbered] | DataLoader[Packed]
Loaders = Loader | Sequence[Loader]


def padded_loader(loading: Loading, samples: list[TextSample], padding: int, shuffle: bool) -> DataLoader[Numbered]:
    """Build the loader of a set whose samples are padded to the longest of a batch."""
    return loading.loader(list(enumerate(samples)), partial(collate, padding=padding), shuffle)


def packed_loader(loading: Loading, rows: list[Packed], padding: int) -> DataLoader[Packed]:
    """Build the shuffled loader of rows that hold several samples."""
    return loading.loader(rows, partial(collate_packed, padding=padding), shuffle=True)
