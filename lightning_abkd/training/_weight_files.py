"""Files of weights: written so that any library reads them, and read by what they hold, not by how they are called."""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from lightning_abkd._utils import write_whole_by_one
from lightning_abkd.training._checkpoint_files import is_sharded_checkpoint
from lightning_abkd.training._own_names import first_names
from lightning_abkd.training._shards import read_shards
from lightning_abkd.training._weight_file_errors import SUFFIXES, harmless_classes, no_such_file, unreadable
from lightning_abkd.training._whole_files import save_whole, saved_size

Weights = dict[str, object]
"""Tensors by name, or what `get_extra_state` of a module returned."""

# In the order in which transformers looks for them.
_IN_FOLDER = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_DEPTH = 2


def read_entries(path: Path) -> dict[str, Weights]:
    """Return the state dicts in a file, by the names of the entries that hold them; "" is the file itself.

    Args:
        path: A file of `torch.save` or of safetensors, the index of a sharded one, or a folder with one of them as
            transformers writes it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read or holds no tensors.
    """
    if is_sharded_checkpoint(path):
        content: object = _read(path)
    else:
        path = _file_in(path)
        content = _read_shards(path) if path.suffix == ".json" else _read(path)
    entries = dict(_state_dicts(content, ""))
    if entries:
        return entries
    found = f"a dict of {sorted(map(str, content))[:8]}" if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        'Parameter `checkpoint` should hold a state dict, as it is or under a name such as "state_dict" or "model". '
        f"Found {found} in {path}. Save `network.state_dict()`."
    )


def write_weights(weights: Mapping[str, object], path: Path) -> None:
    """Write weights by safetensors if the file ends in .safetensors, else by `torch.save`.

    Tensors that are one and the same are written once. `torch.load` gives them back under each name. In safetensors the
    first name stays, and the metadata map the others to it, as its own `save_model` does.

    Raises:
        ValueError: If the format cannot hold a value.
    """
    firsts = first_names(weights)
    kept = {name: _compact(weights[name], name) for name in dict.fromkeys(firsts.values())}
    if path.suffix != ".safetensors":
        save_whole({name: kept[first] for name, first in firsts.items()}, path)
        return
    with write_whole_by_one(path, lambda: saved_size(kept)) as part:
        _write_safetensors(kept, {name: first for name, first in firsts.items() if name != first}, part)


def _compact(value: object, name: str) -> object:
    """Return a tensor on the CPU whose memory is that of its own elements, in order."""
    if not isinstance(value, Tensor):
        return value
    if torch.nn.parameter.is_lazy(value) or value.is_meta:
        raise ValueError(f"Weights should have values. Found `{name}` without any. Run the network on a batch first.")
    value = value.detach().cpu()
    if value.layout != torch.strided or value.is_quantized:
        return value
    value = value.contiguous()
    # A view would take the whole memory that it lies in into the file.
    return value if value.untyped_storage().nbytes() == value.numel() * value.element_size() else value.clone()


def _write_safetensors(weights: Mapping[str, object], tied: Mapping[str, str], path: Path) -> None:
    from safetensors.torch import save_file

    dense = {}
    for name, value in weights.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            kind = f"{value.layout} {value.dtype}" if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"A safetensors file should hold dense tensors. Found `{name}`, {kind}. Write a .pt file.")
        dense[name] = value
    save_file(dense, path, metadata={"format": "pt", **tied})


def _file_in(path: Path) -> Path:
    """Return the file itself, or that in a folder which transformers would read, or the only one."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise FileNotFoundError(no_such_file(path))
    named = [path / name for name in _IN_FOLDER if (path / name).is_file()]
    others = [file for file in path.iterdir() if file.suffix in SUFFIXES]
    if not named and len(others) != 1:
        raise FileNotFoundError(no_such_file(path))
    return named[0] if named else others[0]


def _read_shards(path: Path) -> Weights:
    """Read all files that an index names, and check that they hold what it says."""
    try:
        places = json.loads(path.read_text("utf-8"))["weight_map"]
        shards = sorted(set(places.values()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(unreadable(path, error)) from None
    weights: Weights = {}
    for shard in shards:
        if shard != Path(shard).name:
            raise ValueError(f"Index {path} should name files beside it. Found {shard!r}.")
        if not (path.parent / shard).is_file():
            raise FileNotFoundError(f"Index {path} should name files beside it. Found no {shard}. Copy all shards.")
        content = _read(path.parent / shard)
        weights |= content if isinstance(content, dict) else {}
        if lost := [name for name, file in places.items() if file == shard and name not in weights]:
            raise ValueError(f"Shard {shard} should hold what {path} says. Found no {lost[0]} in it. Copy it again.")
    return weights


def _read(path: Path) -> object:
    """Return the contents of the file. Tensors are on the CPU, and memory-mapped where the format allows it."""
    try:
        return _reader(path)(path)
    except Exception as error:  # every reader has its own exceptions for broken files
        raise ValueError(unreadable(path, error)) from None


def _reader(path: Path) -> Callable[[Path], object]:
    if path.is_dir():
        return read_shards
    return _read_safetensors if path.suffix == ".safetensors" or _is_safetensors(path) else _read_torch


def _read_torch(path: Path) -> object:
    with torch.serialization.safe_globals(harmless_classes()):
        content: object = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    return content


def _read_safetensors(path: Path) -> Weights:
    """Return the tensors by name, also by those names that the metadata say are the same."""
    from safetensors import safe_open
    from safetensors.torch import load_file

    weights = load_file(path)
    with safe_open(path, "pt") as file:
        metadata: Mapping[str, str] = file.metadata() or {}
    return {**weights, **{name: weights[first] for name, first in metadata.items() if first in weights}, **weights}


def _is_safetensors(path: Path) -> bool:
    """Return True for a file that begins as safetensors does: with the length of a JSON object, and this object."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return file.read(1) == b"{" and length < path.stat().st_size


def _state_dicts(content: object, name: str, depth: int = _DEPTH) -> Iterator[tuple[str, Weights]]:
    """Yield the mappings with tensors in a checkpoint, by the dotted names of their entries."""
    if not isinstance(content, Mapping):
        return
    weights = {str(key): value for key, value in content.items() if _is_weight(str(key), value)}
    if any(isinstance(value, Tensor) for value in weights.values()):
        yield name, weights
    for key, value in content.items():
        if depth and str(key) not in weights:
            yield from _state_dicts(value, f"{name}.{key}".lstrip("."), depth - 1)


def _is_weight(name: str, value: object) -> bool:
    return isinstance(value, Tensor) or name.rpartition(".")[2] == "_extra_state"
