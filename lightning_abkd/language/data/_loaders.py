"""Loaders of samples: each in a row of its own, or several in one row."""

from collections.abc import Sequence
from functools import partial

from lightning.pytorch.utilities import rank_zero_info
from torch.utils.data import DataLoader

from lightning_abkd.language.data._options import Loading
from lightning_abkd.language.data._packing import collate_packed, pack
from lightning_abkd.language.data._text_samples import TextSample, collate
from lightning_abkd.training import TrainingOrder

Numbered = tuple[int, TextSample]
Packed = list[TextSample]
Loader = DataLoader[Numbered] | DataLoader[Packed]
Loaders = Loader | Sequence[Loader]


def padded_loader(
    loading: Loading, samples: list[TextSample], padding: int, order: TrainingOrder | None = None
) -> DataLoader[Numbered]:
    """Build the loader of a set whose samples are padded to the longest of a batch."""
    return loading.loader(list(enumerate(samples)), partial(collate, padding=padding), order)


def packed_rows(samples: list[TextSample], length: int, seed: int) -> list[Packed]:
    """Distribute samples over rows of at most a length, and log their number."""
    rows = pack([len(sample) for sample in samples], length, seed)
    rank_zero_info(f"Packed {len(samples)} samples into {len(rows)} rows of up to {length} tokens.")
    return [[samples[i] for i in row] for row in rows]


def packed_loader(loading: Loading, rows: list[Packed], padding: int, order: TrainingOrder) -> DataLoader[Packed]:
    """Build the loader of rows that hold several samples."""
    return loading.loader(rows, partial(collate_packed, padding=padding), order)
