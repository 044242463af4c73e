"""Rows of files and folders that Arrow keeps."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Protocol

from lightning_abkd._utils import Links, leads_out, require
from lightning_abkd.language.data._decoding import read_bytes


class _Table(Protocol):
    """A table of pyarrow."""

    def to_pylist(self) -> list[dict[str, object]]:
        """Return the rows."""


def read_parquet(path: Path) -> list[object]:
    """Read the rows of a parquet file.

    Raises:
        ModuleNotFoundError: If pyarrow is missing.
        ValueError: If the file is broken.
    """
    parquet = require("pyarrow.parquet", "language", "Reading .parquet files")
    pyarrow = require("pyarrow", "language", "Reading .parquet files")
    try:
        # A program that ends while the threads of pyarrow wait is now and then aborted.
        table = parquet.read_table(pyarrow.BufferReader(read_bytes(path)), use_threads=False)
    except (ValueError, OSError) as error:
        raise _broken(path, "a parquet file", error) from error
    return [_without_nulls(row) for row in table.to_pylist()]


def read_arrow(path: Path) -> list[object]:
    """Read the rows of an Arrow file, as `pyarrow.feather` writes it or `datasets` keeps it.

    Raises:
        ModuleNotFoundError: If pyarrow is missing.
        ValueError: If the file is broken.
    """
    pyarrow = require("pyarrow", "language", "Reading .arrow files")
    try:
        table = _arrow_table(pyarrow, read_bytes(path))
    except (ValueError, OSError) as error:
        raise _broken(path, "an Arrow file", error) from error
    return [_without_nulls(row) for row in table.to_pylist()]


def _arrow_table(pyarrow: ModuleType, data: bytes) -> _Table:
    open_table = pyarrow.ipc.open_file if data.startswith(b"ARROW1") else pyarrow.ipc.open_stream
    table: _Table = open_table(data).read_all()
    return table


def _broken(path: Path, kind: str, error: Exception) -> ValueError:
    return ValueError(f"{path} should be {kind}. Found a broken one: {str(error).splitlines()[0]}")


def read_folder(path: Path) -> list[object]:
    """Read the rows of a folder that `datasets.Dataset.save_to_disk` has written.

    Raises:
        ModuleNotFoundError: If `datasets` is missing.
        ValueError: If it holds several splits, or a name in it or a link leads out of it.
    """
    _check_names(path)
    datasets = require("datasets", "language", "Reading saved data sets")
    content = datasets.load_from_disk(str(path))
    splits = content if isinstance(content, datasets.DatasetDict) else {"": content}
    if len(splits) != 1:
        raise ValueError(f"{path} should hold one split. Found {', '.join(splits)}. Name one of its folders instead.")
    return [_without_nulls(row) for split in splits.values() for row in split.with_format(None).to_list()]


def _check_names(path: Path) -> None:
    """Raise ValueError if a saved data set names files outside of its folder; `datasets` says what else is wrong."""
    splits = _listed(path / "dataset_dict.json", "splits")
    states = [path / _below(path, split) / "state.json" for split in splits] or [path / "state.json"]
    files = [(state.parent, entry) for state in states for entry in _listed(state, "_data_files")]
    named = [entry.get("filename") if isinstance(entry, dict) else None for _, entry in files]
    paths = [place / _below(path, name) for (place, _), name in zip(files, named, strict=True)]
    Links(path, follow=None).check_files([*states, *paths])


def _listed(path: Path, key: str) -> list[object]:
    """Return a list in a file of JSON, nothing where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))[key]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return found if isinstance(found, list) else []


def _below(folder: Path, name: object) -> str:
    if not isinstance(name, str) or leads_out(name):
        raise ValueError(f"{folder} should name files of its own. Found {name!r}, which leads out of it.")
    return name


def _without_nulls(row: Mapping[str, object]) -> dict[str, object]:
    """Return a row of Arrow without the nulls inside of its columns.

    All structures of a column have the same keys there; what one of them lacked is filled with null.
    """
    return {name: _pruned(value) for name, value in row.items()}


def _pruned(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _pruned(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_pruned(part) for part in value]
    return value
