"""Logits of both networks at the tokens that are predicted."""

from collections.abc import Mapping

import torch
from torch import Tensor

from lightning_abkd.distributed import is_sharded, keep_classes
from lightning_abkd.language._vocabulary import log_padding
from lightning_abkd.language.data import IGNORE_INDEX
from lightning_abkd.training import LogOnce, Signals


def token_signals(logits: Mapping[str, Tensor], labels: Tensor, vocabulary: int | None, log_once: LogOnce) -> Signals:
    """Pair the logits of networks with the next tokens, and leave out ids that only pad a vocabulary.

    Where the tokens of a row are sharded over processes, the prediction after the last token stays, without a label:
    cutting it off would move all others.

    Args:
        logits: Logits (B, T, V) by network, "student" and perhaps "teacher".
        labels: Shape (B, T), -100 where a token does not count.
        vocabulary: Number of ids to keep, or None for all.
        log_once: Logs what is left out.

    Returns:
        student_logits and perhaps teacher_logits (B, T - 1, V), labels and mask (B, T - 1); T in the place of T - 1
        where tokens are sharded.

    Raises:
        ValueError: If a network has fewer ids than `vocabulary`.

    Example:
        >>> logits = {"student": torch.zeros(1, 3, 5)}
        >>> signals = token_signals(logits, torch.tensor([[-100, 2, 4]]), vocabulary=4, log_once=LogOnce())
        >>> signals["student_logits"].shape, signals["labels"].tolist()
        (torch.Size([1, 2, 4]), [[2, 4]])
    """
    shifted = labels[:, 1:]
    kept: dict[str, Tensor] = {}
    for network, values in logits.items():
        log_padding(vocabulary, values.shape[-1], network, log_once)
        kept[f"{network}_logits"] = values if vocabulary is None else keep_classes(values, vocabulary)
    if any(_splits_tokens(values) for values in logits.values()):
        shifted = torch.nn.functional.pad(shifted, (0, 1), value=IGNORE_INDEX)
    else:
        kept = {name: values[:, :-1] for name, values in kept.items()}
    return {"labels": shifted, "mask": shifted != IGNORE_INDEX} | kept


def _splits_tokens(logits: Tensor) -> bool:
    return is_sharded(logits) and any(placement.is_shard(1) for placement in logits.placements)
