"""The arrays and the output head of a teacher cache, as files."""

import shutil
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from lightning_abkd.language.teachers._cache_meta import CacheMeta, broken_file, write_meta
from lightning_abkd.losses import OutputHead

_HEAD = "head.safetensors"


def create_files(folder: Path, meta: CacheMeta, token_counts: Tensor, head: OutputHead | None) -> None:
    """Create the files at their final size; samples without a counted token are done.

    Raises:
        OSError: If the disk has too little space.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {} if head is None else _tensors_of(head)
    _check_space(folder, meta.tokens * meta.bytes_per_token + sum(tensor.nbytes for tensor in tensors.values()))
    _create_arrays(folder, meta, token_counts)
    if tensors:
        from safetensors.torch import save_file

        save_file(tensors, folder / _HEAD)
    write_meta(folder, meta)


def _tensors_of(head: OutputHead) -> dict[str, Tensor]:
    tensors = {"weight": head.weight, "bias": head.bias}
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items() if tensor is not None}


def _check_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(f"A teacher cache in {folder} needs {needed / 1e9:.1f} GB. Found {free / 1e9:.1f} GB free.")


def _create_arrays(folder: Path, meta: CacheMeta, token_counts: Tensor) -> None:
    arrays = {}
    for name, (dtype, shape) in meta.arrays.items():
        arrays[name] = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.dtype(dtype), shape)
    arrays["token_counts"][:] = token_counts.numpy()
    arrays["done"][:] = token_counts.numpy() == 0
    for array in arrays.values():
        array.flush()


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
