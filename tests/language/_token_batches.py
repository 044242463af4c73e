"""A small batch of tokens, and a stored teacher for it."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from lightning_abkd.language._token_rows import TokenRows, token_rows
from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from lightning_abkd.losses import ForwardKL, head_loss
from lightning_abkd.models import CacheIdentity, TeacherCache, TeacherCacheWriter
from lightning_abkd.modules import TeacherFromCache

# Three and one tokens of two samples count.
BATCH = {
    "input_ids": torch.tensor([[5, 6, 7, 8, 1], [9, 4, 1, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    "labels": torch.tensor([[-100, -100, 7, 8, 1], [-100, -100, 1, -100, -100]]),
    "index": torch.tensor([1, 0]),
}


def store(folder: Path, kind: Literal["hidden", "top_k"], teacher: LanguageTeacher, width: int) -> TeacherFromCache:
    """Write the answers of a teacher to the batch, and read them back."""
    parts = teacher.take_apart()
    hidden = token_rows(BATCH, parts, None, None).hidden.detach()
    head = parts.head() if kind == "hidden" else None
    identity = CacheIdentity("teacher", "bytes", "data")
    writer = TeacherCacheWriter(folder, identity, kind, [1, 3], width, 384, head)
    if kind == "hidden":
        writer.write_hidden(BATCH["index"], hidden)
    else:
        writer.write_top_k(BATCH["index"], parts.head().logits(hidden).detach())
    writer.close()
    return TeacherFromCache(TeacherCache(folder))


def divergence(rows: TokenRows) -> Tensor:
    return head_loss(rows.hidden, rows.head, None, rows.compare, ForwardKL()).loss
