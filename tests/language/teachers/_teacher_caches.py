"""Small caches for the tests."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_abkd.language.teachers import CacheKind
from lightning_abkd.losses import OutputHead
from lightning_abkd.models import CacheIdentity, TeacherCacheWriter

COUNTS = [2, 0, 3, 1]
D, K, V = 4, 3, 11
IDENTITY = CacheIdentity("Teacher owner/name 3fa9", "Tokenizer 01ab", "tasks 77cd")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


HEAD = OutputHead(normal(V, D, seed=1), normal(V, seed=2), scale=0.5, softcap=3.0)
HIDDEN, LOGITS = normal(6, D), 3.0 * normal(6, V)


def writer(
    folder: Path,
    kind: CacheKind = "hidden",
    identity: CacheIdentity = IDENTITY,
    counts: list[int] = COUNTS,
    **options: Any,
) -> TeacherCacheWriter:
    sizes: dict[str, Any] = {"width": D, "head": HEAD} if kind == "hidden" else {"width": K}
    return TeacherCacheWriter(folder, identity, kind, counts, **({"vocabulary": V} | sizes | options))


def fill(folder: Path, kind: CacheKind = "hidden") -> TeacherCacheWriter:
    """Write all samples in two batches out of order."""
    made = writer(folder, kind)
    write, values = (made.write_hidden, HIDDEN) if kind == "hidden" else (made.write_top_k, LOGITS)
    write(torch.tensor([3, 0]), values[[5, 0, 1]])
    write(torch.tensor([1, 2]), values[2:5])
    return made
