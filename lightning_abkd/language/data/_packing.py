"""Several samples in one row, told apart by their positions."""

from bisect import bisect_left, insort

import torch
from torch import Tensor

from lightning_abkd.language.data._text_samples import IGNORE_INDEX, TextSample


def pack(lengths: list[int], capacity: int, seed: int) -> list[list[int]]:
    """Pack samples into rows by best-fit decreasing: the longest first, each into the fullest row in which it fits.

    Ding et al. 2024, "Fewer Truncations Improve Language Modeling", arXiv 2404.10830.

    Args:
        lengths: Length of every sample, in [1, capacity].
        capacity: Length of a row.
        seed: Seed of the order among samples of one length.

    Returns:
        Indices of the samples of each row.

    Example:
        >>> pack([5, 2, 3, 4], capacity=7, seed=0)
        [[0, 1], [3, 2]]
    """
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed)).tolist()
    order.sort(key=lambda index: -lengths[index])
    rows: list[list[int]] = []
    # Rows by their free tokens, and the numbers of free tokens that occur, ascending.
    by_free: dict[int, list[list[int]]] = {}
    free_counts: list[int] = []
    for index in order:
        position = bisect_left(free_counts, lengths[index])
        if position == len(free_counts):
            free = capacity
            row: list[int] = []
            rows.append(row)
        else:
            free = free_counts[position]
            row = by_free[free].pop()
            if not by_free[free]:
                del free_counts[position]
        row.append(index)
        free -= lengths[index]
        if not by_free.setdefault(free, []):
            insort(free_counts, free)
        by_free[free].append(row)
    return rows


def collate_packed(rows: list[list[TextSample]], padding: int) -> dict[str, Tensor]:
    """Join the samples of each row, padded on the right to the longest row.

    There is no attention mask: without one, transformers tells the samples of a row apart by the positions.

    Args:
        rows: Samples of each row.
        padding: Id to pad with; the positions of the padding start at 0, too.

    Returns:
        input_ids, labels and position_ids, int64 of shape (B, T). Positions start at 0 with every sample. Labels are
        -100 on padding, prompts and the first token of every sample, which the sample before must not predict.
    """
    longest = max(sum(map(len, row)) for row in rows)
    batch: dict[str, list[Tensor]] = {"input_ids": [], "labels": [], "position_ids": []}
    for row in rows:
        free = longest - sum(map(len, row))
        lengths = [*map(len, row), free]
        batch["input_ids"].append(torch.cat([*(sample.input_ids for sample in row), torch.full((free,), padding)]))
        batch["labels"].append(torch.cat([*map(_labels, row), torch.full((free,), IGNORE_INDEX)]))
        batch["position_ids"].append(torch.cat([torch.arange(length) for length in lengths]))
    return {name: torch.stack(tensors) for name, tensors in batch.items()}


def _labels(sample: TextSample) -> Tensor:
    labels = sample.labels
    labels[:1] = IGNORE_INDEX
    return labels
