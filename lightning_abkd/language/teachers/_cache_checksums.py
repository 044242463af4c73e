"""Checksums of a teacher cache: a byte that changes on the disk or in a copy is found when it is read."""

import hashlib
import io
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_abkd._utils import write_whole
from lightning_abkd.language.teachers._cache_meta import META, CacheMeta, broken_file, meta_text
from lightning_abkd.language.teachers._ragged import Ragged

_SAMPLES = "checksums.npy"
_FILES = "checksums.json"
_HEAD = "head.safetensors"
# Read whole when a cache is opened.
_SMALL = ("token_counts.npy", "done.npy", "lost.npy", _SAMPLES)


class Checksums:
    """A CRC-32 of every sample in each array of tokens, and a SHA-256 of every other file of a finished cache.

    Caches of release 0.1 have none. They are read unchecked, and continued without.

    Args:
        folder: The cache.
        meta: Its description.
        counts: Counted tokens of every sample, shape (samples,).

    Raises:
        ValueError: If the file of checksums is broken.
    """

    def __init__(self, folder: Path, meta: CacheMeta, counts: Tensor) -> None:
        self._folder = folder
        self._names = meta.token_arrays
        self._samples = Ragged(counts)
        self._known = _read(folder / _SAMPLES, (meta.samples, len(self._names)))
        self._checked = np.zeros((meta.samples, len(self._names)), dtype=bool)

    @property
    def exist(self) -> bool:
        """Whether the cache has checksums."""
        return self._known is not None

    @property
    def model(self) -> str | None:
        """Full identity of the teacher that began the cache, where it was recorded."""
        model = self._recorded().get("model")
        return model if isinstance(model, str) else None

    def record_model(self, identity: str) -> None:
        """Record the teacher's full identity before the cache is finished."""
        if self.exist and not self.model:
            self._write({"model": identity})

    def store(self, indices: Tensor, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Write the checksums of samples, and wait until they are on the disk.

        Args:
            indices: Positions of the samples, shape (B,).
            arrays: Rows of their tokens by the array's name, one sample after the other.
        """
        if self._known is None:
            return
        for column, name in enumerate(self._names):
            self._known[indices.numpy(), column] = self._sums(indices, arrays[name])
        with (self._folder / _SAMPLES).open("r+b") as file:
            begin = file.seek(0, os.SEEK_END) - self._known.nbytes
            for index in indices.tolist():
                file.seek(begin + index * self._known.strides[0])
                file.write(self._known[index].tobytes())
            file.flush()
            os.fsync(file.fileno())

    def check(self, name: str, indices: Tensor, rows: NDArray[np.generic]) -> None:
        """Raise ValueError if the rows of a sample are not what was written; each sample is checked once.

        Args:
            name: Name of the array.
            indices: Positions of the samples, shape (B,).
            rows: Their rows, one sample after the other.
        """
        column = self._names.index(name)
        positions = indices.numpy()
        if self._known is None or self._checked[positions, column].all():
            return
        wrong = positions[self._sums(indices, rows) != self._known[positions, column]]
        if len(wrong):
            raise changed_file(self._folder / f"{name}.npy", f" at sample {wrong[0]}")
        self._checked[positions, column] = True

    def seal(self, meta: CacheMeta, model: str | None = None) -> CacheMeta:
        """Write the checksums of all other files of a cache that is finished but for its description.

        Args:
            meta: The description.
            model: Full identity of the teacher, if the description has a preliminary one.

        Returns:
            The description that is to be written.
        """
        if not self.exist:
            return meta
        if model is not None:
            meta = replace(meta, identity=replace(meta.identity, model=model))
        files = {name: _digest_of(self._folder / name) for name in (*_SMALL, _HEAD) if (self._folder / name).is_file()}
        files[META] = hashlib.sha256(meta_text(meta).encode()).hexdigest()
        self._write({"model": meta.identity.model, "files": files})
        return meta

    def check_small_files(self) -> None:
        """Raise ValueError if a file is not what was written; the arrays of tokens and the head are checked later."""
        for name in (META, *_SMALL):
            self._check_file(name)

    def check_head(self) -> None:
        """Raise ValueError if the output head is not what was written."""
        self._check_file(_HEAD)

    def _check_file(self, name: str) -> None:
        files = self._recorded().get("files")
        expected = files.get(name) if isinstance(files, dict) else None
        if expected is not None and _digest_of(self._folder / name) != expected:
            raise changed_file(self._folder / name)

    def _sums(self, indices: Tensor, rows: NDArray[np.generic]) -> NDArray[np.uint32]:
        ends = self._samples.counts[indices].cumsum(0).tolist()
        parts = (np.ascontiguousarray(rows[begin:end]) for begin, end in zip([0, *ends], ends, strict=False))
        return np.array([zlib.crc32(part.tobytes()) for part in parts], dtype=np.uint32)

    def _recorded(self) -> dict[str, object]:
        path = self._folder / _FILES
        if not path.is_file():
            return {}
        try:
            found: dict[str, object] = dict(json.loads(path.read_text()))
        except (ValueError, TypeError) as error:
            raise broken_file(path, error) from error
        return found

    def _write(self, content: dict[str, object]) -> None:
        with write_whole(self._folder / _FILES) as part, part.open("w") as file:
            json.dump(content, file, indent=2)
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def new_checksums(folder: Path, meta: CacheMeta) -> Iterator[None]:
    """Create the file of the samples' checksums for a cache that the block creates."""
    folder.mkdir(parents=True, exist_ok=True)
    _remove(folder)
    try:
        content = io.BytesIO()
        np.save(content, np.zeros((meta.samples, len(meta.token_arrays)), dtype=np.uint32))
        with write_whole(folder / _SAMPLES, lambda: meta.tokens * meta.bytes_per_token) as part:
            # numpy itself does not say why it could not write.
            part.write_bytes(content.getbuffer())
        yield
    except OSError:
        _remove(folder)
        raise


def _remove(folder: Path) -> None:
    for name in (_SAMPLES, _FILES):
        (folder / name).unlink(missing_ok=True)


def changed_file(path: Path, where: str = "") -> ValueError:
    """Build the error for a file whose bytes are not those that were written."""
    return ValueError(
        f"{path} should hold what was written into it. Found other bytes{where}: they have changed on the disk or in a "
        "copy. Copy the file again from a whole one, or delete the folder and write the cache again."
    )


def _read(path: Path, shape: tuple[int, int]) -> NDArray[np.uint32] | None:
    """Read the checksums of the samples, None where the cache has none."""
    if not path.is_file():
        if path.with_name(_FILES).is_file():
            raise broken_file(path, FileNotFoundError("there is no such file"))
        return None
    try:
        found: NDArray[np.uint32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise broken_file(path, error) from error
    if found.dtype != np.uint32 or found.shape != shape:
        raise broken_file(path, ValueError(f"it holds {found.dtype} {found.shape} instead of uint32 {shape}"))
    return found


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
