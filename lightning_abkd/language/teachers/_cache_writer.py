"""Storing a teacher's outputs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from lightning_abkd._utils import check_choice
from lightning_abkd.functional import largest_classes
from lightning_abkd.language.teachers._cache_checksums import Checksums, new_checksums
from lightning_abkd.language.teachers._cache_files import check_space, create_files, open_arrays, open_to_write
from lightning_abkd.language.teachers._cache_identity import CacheIdentity, differences
from lightning_abkd.language.teachers._cache_meta import (
    CacheDtype,
    CacheKind,
    CacheMeta,
    CacheStatistics,
    has_meta,
    read_meta,
    write_meta,
)
from lightning_abkd.language.teachers._ragged import Ragged
from lightning_abkd.losses import OutputHead


class TeacherCacheWriter:
    """Writes a teacher's outputs at the counted tokens of a data set, in any order and over several attempts.

    There are two kinds. "hidden" stores last hidden states in bfloat16 and the output head once, 2 D bytes per token:
    the teacher's logits up to that rounding. "top_k" stores the k largest log-probabilities in `dtype`, their ids in
    int32 and the logarithm of the remaining mass: an approximation, whose error is in `statistics`. In float16 it takes
    6 k + 2 bytes per token, and rounding changes a log-probability by at most 2⁻¹¹ of its value (0.002 at -4, 0.004 at
    -8). This costs below 2e-5 nats of forward KL for any V up to e¹²; truncation costs far more. In float32 it takes
    8 k + 4 bytes, and rounding is below 1e-6. A class of probability 0 is stored exactly, as -inf.

    The files have their final size from the start, and the disk keeps the space for them, so that it cannot become full
    in between. A sample counts as done once its data have reached the disk. After a kill, another writer with the same
    arguments continues, and only the last batch is written again. There is one writer at a time, in one process: let
    only one of several ranks write.

    Args:
        folder: Where the cache is or will be.
        identity: What it is written from.
        kind: "hidden" or "top_k".
        token_counts: Counted tokens of every sample of the data set, in its order.
        width: D for the kind "hidden"; k with 1 <= k < V for "top_k".
        vocabulary: V.
        head: The teacher's output head with a weight (V, D), for the kind "hidden" alone.
        dtype: Dtype of the log-probabilities of "top_k", "float16" or "float32"; "hidden" has bfloat16 always.

    Raises:
        ValueError: If a parameter does not fit the others, or the folder holds another cache or a broken one.
        OSError: If the disk has too little space.

    Example:
        >>> import tempfile
        >>> from lightning_abkd.models import TeacherCache
        >>> folder, identity = tempfile.mkdtemp(), CacheIdentity("teacher", "bytes", "tasks")
        >>> writer = TeacherCacheWriter(folder, identity, "top_k", [2, 1], width=2, vocabulary=5)
        >>> writer.write_top_k(torch.tensor([1, 0]), torch.zeros(3, 5))
        >>> round(writer.close().tail_mass, 2)
        0.6
        >>> TeacherCache(folder).top_k(torch.tensor([1]))[0].shape
        torch.Size([1, 2])
    """

    def __init__(
        self,
        folder: str | Path,
        identity: CacheIdentity,
        kind: CacheKind,
        token_counts: Sequence[int] | Tensor,
        width: int,
        vocabulary: int,
        head: OutputHead | None = None,
        dtype: CacheDtype = "float16",
    ) -> None:
        counts = torch.as_tensor(token_counts, dtype=torch.int64, device="cpu")
        check_choice("kind", kind, get_args(CacheKind))
        check_choice("dtype", dtype, get_args(CacheDtype))
        _check_counts(counts)
        _check_sizes(kind, width, vocabulary, head)
        self.folder = Path(folder)
        meta = CacheMeta(identity, kind, width, vocabulary, len(counts), int(counts.sum()))
        if kind == "top_k":
            meta = replace(meta, dtype=dtype)
        if head is not None:
            meta = replace(meta, scale=head.scale, softcap=head.softcap)
        if has_meta(self.folder):
            self._check_continues(read_meta(self.folder), meta, counts)
        else:
            check_space(self.folder, meta, head)
            with new_checksums(self.folder, meta):
                create_files(self.folder, meta, counts, head)
        self._meta = meta
        self._arrays = open_to_write(self.folder, meta)
        self._samples = Ragged(counts)
        self.checksums = Checksums(self.folder, meta, counts)

    def _check_continues(self, found: CacheMeta, expected: CacheMeta, counts: Tensor) -> None:
        problems = differences(found.terms, expected.terms)
        if not problems and not np.array_equal(open_arrays(self.folder, found, "r")["token_counts"], counts.numpy()):
            problems = ["Found other `token_counts`."]
        if problems:
            raise ValueError(
                f"The teacher cache in {self.folder} should be one to continue. {' '.join(problems)} "
                "Delete the folder or name another one."
            )

    @property
    def complete(self) -> bool:
        """Whether all samples are done."""
        return bool(self._arrays["done"].all())

    @property
    def statistics(self) -> CacheStatistics:
        """Size of the samples done so far, and for "top_k" what is lost outside the k classes."""
        done = self._arrays["done"].astype(bool)
        tokens = int(self._samples.counts.numpy()[done].sum())
        size = CacheStatistics(int(done.sum()), tokens, self._meta.bytes_per_token)
        if self._meta.kind == "hidden":
            return size
        means = (self._arrays["lost"][done].sum(0) / max(tokens, 1)).tolist()
        return replace(size, tail_mass=means[0], entropy_lost=means[1])

    def pending(self, indices: Tensor) -> Tensor:
        """Find the samples that are still to be written; those without a counted token never are.

        Args:
            indices: Positions in the data set, shape (B,).

        Returns:
            True where a sample is to be written, shape (B,), on the CPU.
        """
        return torch.from_numpy(self._arrays["done"][self._samples.check_positions(indices).numpy()] == 0)

    def write_hidden(self, indices: Tensor, hidden: Tensor) -> None:
        """Write last hidden states; samples that are done stay as they are.

        Args:
            indices: Positions in the data set, shape (B,).
            hidden: States at the counted tokens of these samples, one sample after the other, shape (N, D).

        Raises:
            ValueError: If the cache is of another kind, the shape does not fit `token_counts`, or a number is not
                finite.
        """
        indices = self._check_batch("hidden", indices, hidden, self._meta.width)
        rows = hidden.detach().to(torch.bfloat16).cpu()
        if not rows.isfinite().all():
            raise ValueError("Parameter `hidden` should be finite. Found inf or nan. Change the teacher's precision.")
        self._store(indices, {"hidden": rows.contiguous().view(torch.int16)})

    def write_top_k(self, indices: Tensor, logits: Tensor) -> None:
        """Write the k largest log-probabilities; samples that are done stay as they are.

        Args:
            indices: Positions in the data set, shape (B,).
            logits: Logits or log-probabilities at the counted tokens of these samples, one sample after the other,
                shape (N, V).

        Raises:
            ValueError: If the cache is of another kind, the shape does not fit `token_counts`, or a number is nan or
                +inf. A logit of -inf, of a class that cannot be, is stored exactly.
        """
        indices = self._check_batch("top_k", indices, logits, self._meta.vocabulary)
        largest = largest_classes(logits, self._meta.width, getattr(torch, self._meta.dtype))
        broken = largest.log_p.isnan().any(-1).nonzero()
        if len(broken):
            raise ValueError(
                "Parameter `logits` should be numbers, or -inf for a class that cannot be. Its row "
                f"{int(broken[0])} is not. Found inf or nan. Change the teacher's precision."
            )
        owners = torch.arange(len(indices)).repeat_interleave(self._samples.counts[indices])
        lost = largest.lost.new_zeros(len(indices), 2).index_add_(0, owners, largest.lost)
        self._store(indices, {"ids": largest.ids, "log_p": largest.log_p}, {"lost": lost})

    def start_again(self) -> None:
        """Mark all samples as still to be written."""
        self._arrays["done"][:] = self._samples.counts.numpy() == 0
        self._arrays["done"].flush()

    def close(self, model: str | None = None) -> CacheStatistics:
        """Finish the cache if all samples are done, so that it can be read; call it once writing ends.

        Args:
            model: Identity of the whole teacher, if the writer got a preliminary one.

        Returns:
            Statistics of the samples that are done.
        """
        statistics = self.statistics
        if self.complete:
            write_meta(self.folder, self.checksums.seal(replace(self._meta, statistics=statistics), model))
        return statistics

    def _check_batch(self, kind: CacheKind, indices: Tensor, values: Tensor, columns: int) -> Tensor:
        self._meta.check_kind(kind)
        indices = self._samples.check_positions(indices)
        expected = (int(self._samples.counts[indices].sum()), columns)
        if values.shape != expected:
            raise ValueError(
                f"The outputs of {len(indices)} samples should have the shape {expected}, a row for each of their "
                f"counted tokens. Found {tuple(values.shape)}."
            )
        return indices

    def _store(self, indices: Tensor, tokens: dict[str, Tensor], samples: dict[str, Tensor] | None = None) -> None:
        """Write values of tokens and samples that are pending, and mark the samples once all values are on the disk."""
        pending = self.pending(indices)
        new = indices[pending]
        counted = pending.repeat_interleave(self._samples.counts[indices])
        rows = self._samples.rows(new)
        for name, value in tokens.items():
            self._write(name, rows, value[counted])
        self.checksums.store(new, {name: self._arrays[name][rows.numpy()] for name in tokens})
        for name, value in (samples or {}).items():
            self._write(name, new, value[pending])
        self._write("done", new, torch.ones_like(new))

    def _write(self, name: str, places: Tensor, values: Tensor) -> None:
        array = self._arrays[name]
        array[places.numpy()] = values.numpy()
        array.flush()


def _check_counts(counts: Tensor) -> None:
    if counts.ndim != 1 or (counts < 0).any() or not counts.any():
        raise ValueError("Parameter `token_counts` should hold numbers >= 0, at least one above 0. Found others.")


def _check_sizes(kind: CacheKind, width: int, vocabulary: int, head: OutputHead | None) -> None:
    """Raise ValueError if width, vocabulary and head do not fit the kind."""
    if kind == "hidden":
        shape = None if head is None else tuple(head.weight.shape)
        if shape != (vocabulary, width):
            raise ValueError(f"Parameter `head` should have a weight of shape {vocabulary, width}. Found {shape}.")
        return
    if head is not None:
        raise ValueError("Parameter `head` should be None for the kind 'top_k'. Found an output head.")
    if not 1 <= width < vocabulary:
        raise ValueError(
            "Parameters should satisfy 1 <= `width` < `vocabulary`. "
            f"Found `width = {width}`, `vocabulary = {vocabulary}`."
        )
