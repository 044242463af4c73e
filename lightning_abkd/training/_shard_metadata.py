"""The pickle in a folder of shards, which torch unpickles as it is: it may only describe tensors."""

import pickle
from pathlib import Path

import torch

METADATA = ".metadata"
"""Name of the file that tells a folder of shards from another one."""

# What describes tensors, their places and the nesting of a state, by its module.
_ALLOWED = {
    "torch.distributed.checkpoint.metadata": None,
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo", "_StoragePrefix", "_StorageWriterTransforms"},
    "torch.distributed._shard.sharded_tensor.metadata": None,
    "torch.distributed._shard.metadata": None,
    "torch.serialization": {"_get_layout"},
    "torch": {"Size"} | {name for name, value in vars(torch).items() if isinstance(value, torch.dtype)},
    "builtins": {"set", "frozenset"},
    "collections": {"OrderedDict", "defaultdict"},
    "pathlib": {"Path", "PosixPath", "WindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "WindowsPath"},
}


class _Descriptions(pickle.Unpickler):
    """Unpickles what describes tensors, and nothing else."""

    def find_class(self, module: str, name: str) -> object:
        """Return a class that describes tensors."""
        allowed = _ALLOWED.get(module, set())
        if "." in name or (allowed is not None and name not in allowed):
            raise _ForeignError(f"{module}.{name}")
        value: object = super().find_class(module, name)
        if allowed is None and getattr(value, "__module__", None) != module:
            raise _ForeignError(f"{module}.{name}")
        return value


class _ForeignError(Exception):
    """A pickle names something that describes no tensor."""


def check_metadata(folder: Path) -> None:
    """Raise ValueError unless the metadata of a folder of shards name only what describes tensors.

    Args:
        folder: A checkpoint of torch.distributed.checkpoint, as Lightning's sharded strategies write it.

    Raises:
        ValueError: If they are broken, or unpickling them would call something else.
    """
    path = folder / METADATA
    try:
        with path.open("rb") as file:
            _Descriptions(file).load()
    except _ForeignError as foreign:
        raise ValueError(
            f"Checkpoint {folder} should hold metadata that describe tensors only. Found {path}, which needs pickle to "
            f"run code: {foreign}. Take a checkpoint whose source you trust."
        ) from None
    except Exception as error:  # unpickling raises errors of every kind on broken files
        raise ValueError(
            f"Checkpoint {folder} should have whole metadata. Found {path}, which cannot be read "
            f"({type(error).__name__}: {error}). Take an earlier checkpoint."
        ) from None
