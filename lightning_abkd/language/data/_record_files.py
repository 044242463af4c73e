"""Rows of files, by the format of each."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Protocol

from lightning_abkd._utils import require
from lightning_abkd.language.data._decoding import (
    BYTE_ORDER_MARK,
    COMPRESSED_SUFFIXES,
    read_bytes,
    read_text,
    unified_lines,
)

_SUFFIXES = ".jsonl, .json, .csv, .tsv, .parquet, .arrow or .txt file, or a folder of datasets"


class _Table(Protocol):
    """A table of pyarrow."""

    def to_pylist(self) -> list[dict[str, object]]:
        """Return the rows."""


def check_file(path: Path) -> None:
    """Check without reading it that a file can hold records: that it is there and of a known kind.

    Raises:
        FileNotFoundError: If there is no such file, or the folder holds no data set.
        ValueError: If the suffix is unknown.
    """
    if not path.exists():
        raise FileNotFoundError(f"Language data should be a {_SUFFIXES}. Found no file at {path}.")
    if not path.is_dir():
        _reader(path)
    elif not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise FileNotFoundError(f"{path} should be written by `datasets.Dataset.save_to_disk`. Found another folder.")


def check_files(paths: Iterable[Path]) -> None:
    """Check files as `check_file` does, before the first of them is read."""
    for path in paths:
        check_file(path)


def read_rows(path: Path) -> list[object]:
    """Read the rows of a file or folder.

    Raises:
        FileNotFoundError: If there is no such file, or the folder holds no data set.
        ModuleNotFoundError: If a package is missing that the format needs.
        ValueError: If the file is broken, empty or of an unknown kind.
    """
    if path.is_dir():
        require("datasets", "language", "Reading saved data sets")
    check_file(path)
    rows = _read_folder(path) if path.is_dir() else _reader(path)(path)
    if not rows:
        raise ValueError(f"{path} should hold at least one record. Found an empty file.")
    return rows


def _reader(path: Path) -> Callable[[Path], list[object]]:
    readers: dict[str, Callable[[Path], list[object]]] = {
        ".json": _read_json,
        ".jsonl": _read_json_lines,
        ".ndjson": _read_json_lines,
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".parquet": _read_parquet,
        ".arrow": _read_arrow,
        ".txt": _read_text,
    }
    suffix = _suffix(path)
    if suffix not in readers:
        raise ValueError(f"Language data should be a {_SUFFIXES}. Found the suffix {suffix!r} of {path}.")
    return readers[suffix]


def _suffix(path: Path) -> str:
    """Return the suffix of the format, which the suffix of a compression may follow."""
    suffix = path.suffix.lower()
    return path.with_suffix("").suffix.lower() if suffix in COMPRESSED_SUFFIXES else suffix


def _read_text(path: Path) -> list[object]:
    documents = re.split(r"\n\s*\n", unified_lines(read_text(path)))
    texts = [document.strip("\n").removeprefix(BYTE_ORDER_MARK) for document in documents]
    return [{"text": text} for text in texts if text.strip()]


def _read_json(path: Path) -> list[object]:
    text = read_text(path)
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        # `datasets.Dataset.to_json` writes one record a line under this name, too.
        if error.msg == "Extra data" and text.lstrip().startswith("{"):
            return _read_json_lines(path)
        raise ValueError(f"{path} should be JSON. Found {error.msg} in line {error.lineno}.") from error
    if not isinstance(content, list):
        raise ValueError(f"{path} should hold a list of records. Found {type(content).__name__}.")
    return content


def _read_json_lines(path: Path) -> list[object]:
    records: list[object] = []
    broken: list[int] = []
    # str.splitlines would also split at separators that JSON allows inside a string.
    for number, line in enumerate(unified_lines(read_text(path)).split("\n"), 1):
        # Files that were joined have byte order marks inside.
        content = line.removeprefix(BYTE_ORDER_MARK)
        if content.strip():
            try:
                records.append(json.loads(content))
            except ValueError:
                broken.append(number)
    if broken:
        raise ValueError(
            f"{path} should be JSON on every line. Found {len(broken)} broken lines, first line {broken[0]}."
        )
    return records


def _read_csv(path: Path) -> list[object]:
    text = read_text(path)
    with _fields_of_any_length():
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(path, text), strict=True)
        try:
            header, *rows = [row for row in reader if row] or [[]]
        except csv.Error as error:
            raise ValueError(f"{path} should be CSV. Found {error} in line {reader.line_num}.") from error
    _check_table(path, header, rows)
    return [dict(zip(header, row, strict=True)) for row in rows]


def _check_table(path: Path, header: list[str], rows: list[list[str]]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise ValueError(f"{path} should name every column once. Found {', '.join(twice)} several times.")
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise ValueError(
                f"{path}, record {number} should have {len(header)} fields, as many as the header. Found {len(row)}."
            )


def _delimiter(path: Path, text: str) -> str:
    """Return what separates fields: Excel writes semicolons where the comma is the decimal mark."""
    if _suffix(path) == ".tsv":
        return "\t"
    header = text.lstrip("\r\n").partition("\n")[0]
    return next((mark for mark in ";\t" if mark in header and "," not in header), ",")


@contextmanager
def _fields_of_any_length() -> Iterator[None]:
    """Lift the limit of 131,072 characters a field, which is the whole process's."""
    limit = csv.field_size_limit(sys.maxsize)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _read_parquet(path: Path) -> list[object]:
    parquet = require("pyarrow.parquet", "language", "Reading .parquet files")
    pyarrow = require("pyarrow", "language", "Reading .parquet files")
    try:
        # A program that ends while the threads of pyarrow wait is now and then aborted.
        table = parquet.read_table(pyarrow.BufferReader(read_bytes(path)), use_threads=False)
    except (ValueError, OSError) as error:
        raise _broken(path, "a parquet file", error) from error
    return [_without_nulls(row) for row in table.to_pylist()]


def _read_arrow(path: Path) -> list[object]:
    pyarrow = require("pyarrow", "language", "Reading .arrow files")
    try:
        table = _arrow_table(pyarrow, read_bytes(path))
    except (ValueError, OSError) as error:
        raise _broken(path, "an Arrow file", error) from error
    return [_without_nulls(row) for row in table.to_pylist()]


def _arrow_table(pyarrow: ModuleType, data: bytes) -> _Table:
    """Read what `pyarrow.feather` writes, a file, or what `datasets` keeps, a stream."""
    open_table = pyarrow.ipc.open_file if data.startswith(b"ARROW1") else pyarrow.ipc.open_stream
    table: _Table = open_table(data).read_all()
    return table


def _broken(path: Path, kind: str, error: Exception) -> ValueError:
    return ValueError(f"{path} should be {kind}. Found a broken one: {str(error).splitlines()[0]}")


def _read_folder(path: Path) -> list[object]:
    datasets = require("datasets", "language", "Reading saved data sets")
    content = datasets.load_from_disk(str(path))
    splits = content if isinstance(content, datasets.DatasetDict) else {"": content}
    if len(splits) != 1:
        raise ValueError(f"{path} should hold one split. Found {', '.join(splits)}. Name one of its folders instead.")
    return [_without_nulls(row) for split in splits.values() for row in split.with_format(None).to_list()]


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
