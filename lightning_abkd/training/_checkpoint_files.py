"""Checkpoints of a training as files, or as folders into which several ranks have written: what can be read of them."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch

from lightning_abkd._utils import needed_code
from lightning_abkd.training._shard_metadata import METADATA, check_metadata

T = TypeVar("T")

# What Lightning puts into the folder of a checkpoint beside the shards.
_META = "meta.pt"
_VERSION = "pytorch-lightning_version"
_SHOWN = 6


class ForeignCheckpointError(ValueError):
    """A file can be read, and is no checkpoint of a training.

    Example: see `lightning_abkd.training.without_weights`.
    """


def is_sharded_checkpoint(path: Path) -> bool:
    """Return True for a folder into which the ranks of a training have written their shards.

    Example:
        >>> is_sharded_checkpoint(Path("runs"))
        False
    """
    return (path / _META).is_file() and (path / METADATA).is_file()


def without_weights(path: Path) -> dict[str, object]:
    """Read what a checkpoint holds beside its weights, whose values stay in the file.

    Raises:
        ValueError: If it cannot be read, or is no checkpoint of a training; the error names one that is.
        FileNotFoundError: If there is none.

    Example:
        >>> import tempfile
        >>> torch.save({"weight": torch.ones(1)}, file := Path(tempfile.mkdtemp(), "a.ckpt"))
        >>> try:
        ...     without_weights(file)
        ... except ForeignCheckpointError as error:
        ...     str(error).partition("as Lightning writes it. ")[2][:14]
        'Found weight. '
    """
    if is_sharded_checkpoint(path):
        check_metadata(path)
    return named_errors(path, lambda: _without_weights(path))


def named_errors(path: Path, read: Callable[[], T]) -> T:
    """Return what a function reads from a checkpoint.

    Raises:
        ValueError: If it cannot be read, or is no checkpoint of a training; the error names one that is.
        FileNotFoundError: If there is none.
    """
    if not path.exists():
        raise FileNotFoundError(f"Found no checkpoint at {path}.{_offer(path)}")
    try:
        content = read()
    except MemoryError:
        raise
    except Exception as error:  # every reader has its own exceptions for broken files
        raise ValueError(_unreadable(path, error)) from error
    if not is_checkpoint(content):
        raise ForeignCheckpointError(_foreign(path, content))
    return content


def is_checkpoint(content: object) -> bool:
    """Return True for what a checkpoint of a training holds."""
    return isinstance(content, Mapping) and _VERSION in content


def _foreign(path: Path, content: object) -> str:
    """Return what is said of a file that can be read and is no checkpoint of a training."""
    names = sorted(map(str, content)) if isinstance(content, Mapping) else [type(content).__name__]
    more = ", …" if len(names) > _SHOWN else ""
    return (
        f"{path} should be a checkpoint of a training, as Lightning writes it. "
        f"Found {', '.join(names[:_SHOWN])}{more}. "
        f"A network takes weights alone by `load_weights(network, path)`.{_offer(path)}"
    )


def newest_readable(path: Path) -> Path | None:
    """Return the newest checkpoint in the folder of another one that can be read, or None."""
    folder = path.parent
    if not folder.is_dir():
        return None
    others = [file for file in folder.iterdir() if file.suffix == ".ckpt" and not _is_same(file, path)]
    newest_first = sorted(others, key=lambda file: file.stat().st_mtime_ns, reverse=True)
    return next((file for file in newest_first if _is_readable(file)), None)


def _is_same(file: Path, path: Path) -> bool:
    return file == path or (path.exists() and file.exists() and file.samefile(path)) or not file.exists()


def _is_readable(path: Path) -> bool:
    try:
        return is_checkpoint(_without_weights(path))
    except Exception:  # every reader has its own exceptions for broken files
        return False


def _without_weights(path: Path) -> dict[str, object]:
    if path.is_dir() and not is_sharded_checkpoint(path):
        raise IsADirectoryError("a folder without the shards of a checkpoint")
    file = path / _META if path.is_dir() else path
    content: dict[str, object] = torch.load(file, weights_only=True, map_location="meta", mmap=zipfile.is_zipfile(file))
    return content


def _offer(path: Path) -> str:
    found = newest_readable(path)
    return "" if found is None else f" The newest checkpoint there that can be read is {found}."


def _unreadable(path: Path, error: Exception) -> str:
    # Distributed readers put the tracebacks of all ranks into the text.
    reason = str(error).strip().partition("\n")[0].partition(" In PyTorch 2.6")[0].rstrip(".:")
    if needed := needed_code(error):
        return (
            f"The checkpoint {path} needs pickle to run code, {needed}. If you trust its source, `--weights_only false`"
            " allows it, or from Python `weights_only=False` of the trainer's method or of `load_from_checkpoint`."
        )
    size = f"{path.stat().st_size} bytes; " if path.is_file() else ""
    return (
        f"The checkpoint {path} cannot be read ({size}{type(error).__name__}: {reason or 'it ends too early'}). It may "
        f"be cut off.{_offer(path) or ' Choose another one or train again.'}"
    )
