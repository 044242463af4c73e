"""The whole of a checkpoint whose shards lie in a folder, on a process that has no shards itself."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load

from lightning_abkd.training._shard_metadata import check_metadata

State = dict[str, object]
Nested = dict[str | int, object]


def read_shards(folder: Path) -> State:
    """Return a checkpoint of shards as that of one process; weights are on the CPU.

    An optimizer of torch takes the names of parameters in the place of their numbers.
    """
    check_metadata(folder)
    reader = FileSystemReader(folder)
    described = reader.read_metadata()
    flat: State = {}
    for name, about in described.state_dict_metadata.items():
        if isinstance(about, TensorStorageMetadata):
            flat[name] = torch.empty(about.size, dtype=about.properties.dtype)
        elif isinstance(about, BytesStorageMetadata):
            flat[name] = None
    with warnings.catch_warnings():
        # One process is meant.
        warnings.filterwarnings("ignore", ".*assuming the intent is to load in a single process")
        load(flat, storage_reader=reader, no_dist=True)
    whole: Nested = {}
    for name, value in flat.items():
        _put(whole, described.planner_data.get(name, (name,)), value)
    meta: State = torch.load(folder / "meta.pt", map_location="cpu", weights_only=True)
    states = {str(name): _listed(value) for name, value in whole.items()}
    optimizers = [states[name] for name in sorted(states) if name.startswith("optimizer_")]
    return meta | {"state_dict": states["state_dict"]} | ({"optimizer_states": optimizers} if optimizers else {})


def _put(whole: Nested, path: Sequence[str | int], value: object) -> None:
    """Put a value into nested dicts."""
    node = whole
    for key in path[:-1]:
        inner = node.setdefault(key, {})
        node = inner if isinstance(inner, dict) else {}
    node[path[-1]] = value


def _listed(node: object) -> object:
    """Turn the dicts that have positions as keys into lists."""
    if not isinstance(node, dict):
        return node
    inside = {key: _listed(value) for key, value in node.items()}
    return [inside[key] for key in sorted(inside)] if inside and all(isinstance(key, int) for key in inside) else inside
