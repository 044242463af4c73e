"""Several samples in one row, kept apart."""

from bisect import bisect_left, insort

import torch
from torch import Tensor

from lightning_abkd.language.data._text_samples import IGNORE_INDEX, TextSample


def pack(lengths: list[int], capacity: int, seed: int) -> list[list[int]]:
    """Share rows of limited length by best-fit decreasing: the longest first, each where the least room is left.

    Ding et al. 2024, "Fewer Truncations Improve Language Modeling", arXiv 2404.10830.

    Args:
        lengths: Length of every sample, in [1, capacity].
        capacity: Length of a row.
        seed: Seed of the order among samples of one length.

    Returns:
        For every row the indices of its samples.

    Example:
        >>> pack([5, 2, 3, 4], capacity=7, seed=0)
        [[0, 1], [3, 2]]
    """
    order = torch.randperm(len(lengths), generator=torch.Generator().manual_seed(seed)).tolist()
    order.sort(key=lambda index: -lengths[index])
    rows: list[list[int]] = []
    # Rows by the room left in them, and the sizes of room that there are.
    by_room: dict[int, list[list[int]]] = {}
    rooms: list[int] = []
    for index in order:
        position = bisect_left(rooms, lengths[index])
        if position == len(rooms):
            room = capacity
            row: list[int] = []
            rows.append(row)
        else:
            room = rooms[position]
            row = by_room[room].pop()
            if not by_room[room]:
                del rooms[position]
        row.append(index)
        room -= lengths[index]
        if not by_room.setdefault(room, []):
            insort(rooms, room)
        by_room[room].append(row)
    return rows


def collate_packed(rows: list[list[TextSample]], padding: int) -> dict[str, Tensor]:
    """Join the samples of each row, padded on the right to the longest row.

    There is no attention mask: without one, transformers tells the samples of a row apart by the positions.

    Args:
        rows: Samples of every row.
        padding: Id to pad with; the padding of a row is a piece of its own.

    Returns:
        input_ids, labels and position_ids, int64 of shape (B, T): positions start at 0 with every sample; labels are
        -100 on padding, prompts and the first token of every sample, which the sample before must not predict.
    """
    longest, first = max(sum(map(len, row)) for row in rows), torch.tensor([IGNORE_INDEX])
    batch: dict[str, list[Tensor]] = {"input_ids": [], "labels": [], "position_ids": []}
    for row in rows:
        free = longest - sum(map(len, row))
        labels = [torch.cat([first, sample.labels[1:]]) for sample in row]
        batch["input_ids"].append(torch.cat([*(sample.input_ids for sample in row), torch.full((free,), padding)]))
        batch["labels"].append(torch.cat([*labels, torch.full((free,), IGNORE_INDEX)]))
        batch["position_ids"].append(torch.cat([torch.arange(n) for n in (*map(len, row), free)]))
    return {name: torch.stack(tensors) for name, tensors in batch.items()}
