"""Rows of token ids as one batch."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


def pad_rows(ids: Sequence[Tensor], labels: Sequence[Tensor], padding: int, ignored: int) -> dict[str, Tensor]:
    """Pad rows of token ids and their labels on the right to the longest row.

    Args:
        ids: Ids of each row, shape (T_i,).
        labels: Labels of each row, shape (T_i,).
        padding: Id to pad with.
        ignored: Label of padding, which no loss counts.

    Returns:
        input_ids, attention_mask (1 on the rows' own ids) and labels, shape (B, T) each.

    Example:
        >>> row = torch.tensor([5, 6])
        >>> pad_rows([row, row[:1]], [row, row[:1]], padding=0, ignored=-100)["labels"].tolist()
        [[5, 6], [5, -100]]
    """
    return {
        "input_ids": pad_sequence(list(ids), batch_first=True, padding_value=padding),
        "attention_mask": pad_sequence([torch.ones_like(row) for row in ids], batch_first=True),
        "labels": pad_sequence(list(labels), batch_first=True, padding_value=ignored),
    }
