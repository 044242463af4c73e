"""Reading a teacher's stored outputs."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_abkd.language.teachers._cache_checksums import Checksums
from lightning_abkd.language.teachers._cache_files import check_head, open_arrays, read_head
from lightning_abkd.language.teachers._cache_identity import differences
from lightning_abkd.language.teachers._cache_meta import read_meta
from lightning_abkd.language.teachers._ragged import Ragged
from lightning_abkd.losses import OutputHead


class TeacherCache:
    """A teacher's outputs at the counted tokens of a data set, read from the files of a `TeacherCacheWriter`.

    The files are mapped into memory and never changed: reads come from the disk or the system's page cache, and any
    number of threads, loader workers and ranks may read one folder. Pickling stores only the folder's path. Opening a
    cache finds files that are missing, cut off or of another shape. A byte that has changed is found when it is
    read, by checksums, which caches of release 0.1 do not have.

    Args:
        folder: Where the cache is.

    Attributes:
        folder: Where the cache is.
        identity: What it was written from.
        kind: "hidden" or "top_k".
        dtype: Dtype of the log-probabilities of "top_k".
        width: D of the kind "hidden", k of "top_k".
        vocabulary: V.
        token_counts: Counted tokens of every sample, shape (samples,), int64.
        statistics: Samples, tokens, bytes per token, and for "top_k" what the k classes lose.

    Raises:
        FileNotFoundError: If there is no cache in the folder.
        ValueError: If the cache is unfinished, of an unknown version, or one of its files is broken or has changed.

    Example:
        >>> import tempfile
        >>> from lightning_abkd.models import CacheIdentity, TeacherCacheWriter
        >>> folder, identity = tempfile.mkdtemp(), CacheIdentity("teacher", "bytes", "tasks")
        >>> head = OutputHead(torch.eye(5, 4))
        >>> writer = TeacherCacheWriter(folder, identity, "hidden", [2, 1], width=4, vocabulary=5, head=head)
        >>> writer.write_hidden(torch.tensor([0, 1]), torch.ones(3, 4))
        >>> writer.close().bytes_per_token
        8
        >>> cache = TeacherCache(folder)
        >>> cache.head().logits(cache.hidden(torch.tensor([1])))
        tensor([[1., 1., 1., 1., 0.]])
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        meta = read_meta(self.folder)
        # A plain array keeps the mapping open and indexes faster than np.memmap.
        self._arrays = {name: np.asarray(array) for name, array in open_arrays(self.folder, meta, "r").items()}
        if meta.statistics is None:
            raise ValueError(
                f"The teacher cache in {folder} should be finished. Found {np.count_nonzero(self._arrays['done'])} of "
                f"{meta.samples} samples done. Run the writing command again; it continues."
            )
        if meta.kind == "hidden":
            check_head(self.folder, meta)
        self._meta = meta
        self.identity = meta.identity
        self.kind = meta.kind
        self.dtype = meta.dtype
        self.statistics = meta.statistics
        self.width = meta.width
        self.vocabulary = meta.vocabulary
        self.token_counts = torch.tensor(self._arrays["token_counts"])
        self._checksums = Checksums(self.folder, meta, self.token_counts)
        self._checksums.check_small_files()
        self._samples = Ragged(self.token_counts)

    def __reduce__(self) -> tuple[type["TeacherCache"], tuple[Path]]:
        # numpy would pickle the contents of a mapped array.
        return TeacherCache, (self.folder,)

    @property
    def bytes_per_token(self) -> int:
        """Bytes on disk per token; the output head is stored once in addition."""
        return self.statistics.bytes_per_token

    def check(self, model: str | None = None, tokenizer: str | None = None, data: str | None = None) -> None:
        """Raise ValueError unless the cache was written from what a run uses.

        Args:
            model: As in `CacheIdentity`; None is not compared.
            tokenizer: Likewise.
            data: Likewise.

        Raises:
            ValueError: If a part differs.
        """
        given = {"model": model, "tokenizer": tokenizer, "data": data}
        expected: dict[str, object] = {name: value for name, value in given.items() if value is not None}
        problems = differences(asdict(self.identity), expected)
        if problems:
            raise ValueError(
                f"The teacher cache in {self.folder} should belong to this run. {' '.join(problems)} "
                "Write another one, or train with what this one was written from."
            )

    def hidden(self, indices: Tensor) -> Tensor:
        """Read last hidden states.

        Args:
            indices: Positions in the data set, shape (B,).

        Returns:
            States at the counted tokens of these samples, one sample after the other, shape (N, D), bfloat16.

        Raises:
            ValueError: If the cache is of another kind, an index is outside the data set, or bytes have changed.
        """
        self._meta.check_kind("hidden")
        return self._read("hidden", indices).view(torch.bfloat16)

    def top_k(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Read the k largest log-probabilities at temperature 1.

        Args:
            indices: Positions in the data set, shape (B,).

        Returns:
            At the counted tokens of these samples, one sample after the other: ids (N, k), int64, the most probable
            first, and their log-probabilities followed by that of all others together, (N, k + 1), float32, normalised.

        Raises:
            ValueError: If the cache is of another kind, an index is outside the data set, or bytes have changed.
        """
        self._meta.check_kind("top_k")
        return self._read("ids", indices).long(), self._read("log_p", indices).float().log_softmax(-1)

    def head(self) -> OutputHead:
        """Read the teacher's output head, its weight (V, D) in the dtype it had.

        Raises:
            ValueError: If the kind is "top_k", or bytes have changed.
        """
        self._meta.check_kind("hidden")
        self._checksums.check_head()
        return read_head(self.folder, self._meta)

    def _read(self, name: str, indices: Tensor) -> Tensor:
        indices = self._samples.check_positions(indices)
        found = self._arrays[name][self._samples.rows(indices).numpy()]
        self._checksums.check(name, indices, found)
        return torch.from_numpy(found)
