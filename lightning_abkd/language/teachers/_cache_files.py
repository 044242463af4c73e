"""The arrays and the output head of a teacher cache, as files."""

import errno
import os
import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from lightning_abkd._utils import full_disk, write_whole
from lightning_abkd.language.teachers._cache_meta import CacheMeta, broken_file, write_meta
from lightning_abkd.losses import OutputHead

_HEAD = "head.safetensors"
# What file systems say that cannot reserve space.
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
_BLOCK = 1 << 24


def create_files(folder: Path, meta: CacheMeta, token_counts: Tensor, head: OutputHead | None) -> None:
    """Create the files at their final size; samples without a counted token are done.

    Raises:
        OSError: If the disk has too little space.
    """
    tensors = {} if head is None else _tensors_of(head)
    try:
        _create_arrays(folder, meta, token_counts)
        if tensors:
            _write_head(tensors, folder / _HEAD)
        write_meta(folder, meta)
    except OSError as error:
        _remove_files(folder, meta)
        raise _named(error, folder, meta, head) from error


def check_space(folder: Path, meta: CacheMeta, head: OutputHead | None) -> None:
    """Remove what a process left that was killed before it had created all files, and look for the space.

    Raises:
        OSError: If the disk has too little space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_files(folder, meta)
    if _needed(meta, head) > shutil.disk_usage(folder).free:
        raise _named(OSError(errno.ENOSPC, "too little space"), folder, meta, head)


def _needed(meta: CacheMeta, head: OutputHead | None) -> int:
    tensors = {} if head is None else _tensors_of(head)
    return meta.tokens * meta.bytes_per_token + sum(tensor.nbytes for tensor in tensors.values())


def _named(error: OSError, folder: Path, meta: CacheMeta, head: OutputHead | None) -> OSError:
    """Return an error that says how much the disk lacks, if that is the reason."""
    return full_disk(error, folder / "a teacher cache", lambda: _needed(meta, head)) or error


def _write_head(tensors: dict[str, Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    with write_whole(path) as part:
        save_file(tensors, part)


def _remove_files(folder: Path, meta: CacheMeta) -> None:
    """Remove what there is of a cache that does not fit on the disk, so that it does not fill it."""
    for name in (*(f"{array}.npy" for array in meta.arrays), _HEAD):
        (folder / name).unlink(missing_ok=True)


def _tensors_of(head: OutputHead) -> dict[str, Tensor]:
    tensors = {"weight": head.weight, "bias": head.bias}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items() if tensor is not None}


def _create_arrays(folder: Path, meta: CacheMeta, token_counts: Tensor) -> None:
    arrays = {}
    for name, (dtype, shape) in meta.arrays.items():
        path = folder / f"{name}.npy"
        array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
        reserve(path, array.offset + array.nbytes, array.offset)
        arrays[name] = array
    arrays["token_counts"][:] = token_counts.numpy()
    arrays["done"][:] = token_counts.numpy() == 0
    for array in arrays.values():
        array.flush()


def reserve(path: Path, size: int, empty_from: int | None = None) -> None:
    """Reserve the blocks of a file on its disk: a write into a mapped file that finds no space kills the process.

    Args:
        path: The file.
        size: Number of its bytes.
        empty_from: Where nothing has been written yet; zeros are, if the file system cannot reserve space.

    Raises:
        OSError: If the disk is full.
    """
    descriptor = os.open(path, os.O_RDWR)
    try:
        if not _reserved(descriptor, size) and empty_from is not None:
            while empty_from < size:
                empty_from += os.pwrite(descriptor, bytes(min(_BLOCK, size - empty_from)), empty_from)
    finally:
        os.close(descriptor)


def _reserved(descriptor: int, size: int) -> bool:
    """Reserve space; return False where the system or the file system cannot."""
    if not hasattr(os, "posix_fallocate"):
        return False
    try:
        os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True


def open_to_write(folder: Path, meta: CacheMeta) -> dict[str, np.memmap]:
    """Map the arrays into memory, and make sure that the disk has space for all of them.

    Raises:
        ValueError: If a file is missing, too short or holds another array.
        OSError: If the disk is full, which only a cache can meet that was begun by an earlier release or copied.
    """
    arrays = open_arrays(folder, meta, "r+")
    for name in arrays:
        path = folder / f"{name}.npy"
        try:
            reserve(path, path.stat().st_size)
        except OSError as error:
            raise full_disk(error, path, lambda: meta.tokens * meta.bytes_per_token) or error from error
    return arrays


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
            raise broken_file(path, error) from error
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            raise broken_file(path, ValueError(f"it holds {array.dtype} {array.shape} instead of {dtype} {shape}"))
        arrays[name] = array
    return arrays


def check_head(folder: Path, meta: CacheMeta) -> None:
    """Check the output head's file without reading its numbers.

    Raises:
        ValueError: If the file is missing, too short or of another shape.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / _HEAD
    try:
        with safe_open(path, "pt") as file:
            shape = tuple(file.get_slice("weight").get_shape())
    except (OSError, SafetensorError) as error:
        raise broken_file(path, error) from error
    if shape != (meta.vocabulary, meta.width):
        raise broken_file(path, ValueError(f"its weight has the shape {shape}"))


def read_head(folder: Path, meta: CacheMeta) -> OutputHead:
    """Read the output head."""
    from safetensors.torch import load_file

    tensors = load_file(folder / _HEAD)
    return OutputHead(tensors["weight"], tensors.get("bias"), meta.scale, meta.softcap)
