"""The files of a teacher cache: what lies where, and whether it is whole."""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from lightning_abkd.language.teachers._cache_identity import CacheIdentity
from lightning_abkd.losses import OutputHead

Kind = Literal["hidden", "top_k"]

_META, _HEAD = "meta.json", "head.safetensors"
_VERSION = 1


@dataclass(frozen=True)
class CacheStatistics:
    """Size and error of a cache.

    Args:
        samples: Number of samples.
        tokens: Number of counted tokens in them.
        bytes_per_token: Bytes on disk for one token; the output head comes once on top.
        tail_mass: Mean probability outside the k classes; None for the kind "hidden".
        entropy_lost: Mean entropy of the teacher minus that of its k + 1 buckets, in nats; None for "hidden".
    """

    samples: int
    tokens: int
    bytes_per_token: int
    tail_mass: float | None = None
    entropy_lost: float | None = None


@dataclass(frozen=True)
class CacheMeta:
    """What meta.json holds; its statistics are there once the cache is finished."""

    identity: CacheIdentity
    kind: Kind
    width: int
    vocabulary: int
    samples: int
    tokens: int
    scale: float = 1.0
    softcap: float | None = None
    statistics: CacheStatistics | None = None

    @property
    def arrays(self) -> dict[str, tuple[str, tuple[int, ...]]]:
        """Dtype and shape of the array in every .npy file."""
        shared = {"done": ("u1", (self.samples,)), "token_counts": ("i8", (self.samples,))}
        if self.kind == "hidden":
            return {**shared, "hidden": ("i2", (self.tokens, self.width))}
        ids, log_p = ("i4", (self.tokens, self.width)), ("f2", (self.tokens, self.width + 1))
        return {**shared, "ids": ids, "log_p": log_p, "lost": ("f8", (self.samples, 2))}

    @property
    def terms(self) -> dict[str, object]:
        """All that two writers of one cache have to agree on."""
        terms = asdict(self)
        del terms["statistics"]
        return {**terms.pop("identity"), **terms}

    @property
    def bytes_per_token(self) -> int:
        """Bytes on disk for one token: 2 D, or 4 k + 2 (k + 1)."""
        return 2 * self.width if self.kind == "hidden" else 4 * self.width + 2 * (self.width + 1)


class Ragged:
    """Where the tokens of every sample lie in an array of all tokens.

    Args:
        counts: Counted tokens of every sample, shape (samples,), int64.
    """

    def __init__(self, counts: Tensor) -> None:
        self.counts = counts
        self._starts = counts.cumsum(0) - counts

    def positions(self, indices: Tensor) -> Tensor:
        """Check positions of samples (B,) and bring them to the processor.

        Raises:
            ValueError: If one is outside the data set.
        """
        indices = indices.to("cpu", torch.int64)
        if indices.ndim != 1 or not ((indices >= 0) & (indices < len(self.counts))).all():
            raise ValueError(
                f"Parameter `indices` should hold positions from 0 to {len(self.counts) - 1}, shape (B,). "
                f"Found `indices = {indices.tolist()}`."
            )
        return indices

    def rows(self, indices: Tensor) -> Tensor:
        """Give the rows (N,) of the tokens of samples (B,), one sample after the other."""
        counts = self.counts[indices]
        before = counts.cumsum(0) - counts
        return torch.arange(int(counts.sum())) + (self._starts[indices] - before).repeat_interleave(counts)


def has_meta(folder: Path) -> bool:
    """Say whether the files of a cache have been created in a folder; its meta.json comes last."""
    return (folder / _META).is_file()


def read_meta(folder: Path) -> CacheMeta:
    """Read meta.json.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is of another version or cannot be read.
    """
    if not has_meta(folder):
        raise FileNotFoundError(f"Parameter `folder` should hold a teacher cache. Found no {_META} in {str(folder)!r}.")
    try:
        content = json.loads((folder / _META).read_text())
        if (version := content.pop("version")) == _VERSION:
            identity, statistics = CacheIdentity(**content.pop("identity")), content.pop("statistics")
            finished = None if statistics is None else CacheStatistics(**statistics)
            return CacheMeta(identity=identity, statistics=finished, **content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _corrupt(folder / _META, error) from error
    raise ValueError(
        f"The teacher cache in {folder} should be of version {_VERSION}. Found version {version}. "
        "Read it with the release that wrote it, or delete the folder and write it again."
    )


def write_meta(folder: Path, meta: CacheMeta) -> None:
    """Write meta.json so that there is always a whole one."""
    temporary = folder / f"{_META}.tmp"
    with temporary.open("w") as file:
        json.dump({"version": _VERSION, **asdict(meta)}, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(folder / _META)


def create(folder: Path, meta: CacheMeta, token_counts: Tensor, head: OutputHead | None) -> None:
    """Create the files at their final size; samples without a counted token are done.

    Raises:
        OSError: If the disk has too little space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = {} if head is None else {"weight": head.weight, "bias": head.bias}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items() if tensor is not None}
    needed = meta.tokens * meta.bytes_per_token + sum(tensor.nbytes for tensor in tensors.values())
    if needed > (free := shutil.disk_usage(folder).free):
        raise OSError(f"A teacher cache in {folder} needs {needed / 1e9:.1f} GB. Found {free / 1e9:.1f} GB free.")
    arrays = {}
    for name, (dtype, shape) in meta.arrays.items():
        arrays[name] = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)
    arrays["token_counts"][:] = token_counts.numpy()
    arrays["done"][:] = token_counts.numpy() == 0
    for array in arrays.values():
        array.flush()
    if tensors:
        from safetensors.torch import save_file

        save_file(tensors, folder / _HEAD)
    write_meta(folder, meta)


def open_arrays(folder: Path, meta: CacheMeta, mode: Literal["r", "r+"]) -> dict[str, np.memmap]:
    """Map the arrays into memory.

    Raises:
        ValueError: If a file is missing, too short or holds another array.
    """
    arrays = {}
    for name, (dtype, shape) in meta.arrays.items():
        path = folder / f"{name}.npy"
        try:
            array = np.lib.format.open_memmap(path, mode)
        except (OSError, ValueError) as error:
            raise _corrupt(path, error) from error
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            raise _corrupt(path, ValueError(f"it holds {array.dtype} {array.shape} instead of {dtype} {shape}"))
        arrays[name] = array
    return arrays


def check_head(folder: Path, meta: CacheMeta) -> None:
    """Look at the output head without reading it.

    Raises:
        ValueError: If its file is missing, too short or of another shape.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / _HEAD
    try:
        with safe_open(path, "pt") as file:
            shape = tuple(file.get_slice("weight").get_shape())
    except (OSError, SafetensorError) as error:
        raise _corrupt(path, error) from error
    if shape != (meta.vocabulary, meta.width):
        raise _corrupt(path, ValueError(f"its weight has the shape {shape}"))


def read_head(folder: Path, meta: CacheMeta) -> OutputHead:
    """Read the output head."""
    from safetensors.torch import load_file

    tensors = load_file(folder / _HEAD)
    return OutputHead(tensors["weight"], tensors.get("bias"), meta.scale, meta.softcap)


def _corrupt(path: Path, error: Exception) -> ValueError:
    reason = str(error).strip().partition("\n")[0]
    return ValueError(
        f"{path} should be a whole file of a teacher cache. It could not be read ({type(error).__name__}: {reason}). "
        "It may be cut off: copy it again, or delete the folder and write the cache again."
    )


def check_kind(meta: CacheMeta, kind: Kind) -> None:
    """Raise ValueError unless the cache is of a kind."""
    if meta.kind != kind:
        raise ValueError(f"This needs a teacher cache of the kind {kind!r}. Found the kind {meta.kind!r}.")
