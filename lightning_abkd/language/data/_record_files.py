"""Rows of files, by the format of each."""

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from lightning_abkd._utils import require
from lightning_abkd.language.data._arrow_files import read_arrow, read_folder, read_parquet
from lightning_abkd.language.data._decoding import (
    BYTE_ORDER_MARK,
    COMPRESSED_SUFFIXES,
    read_text,
    unified_lines,
)

_SUFFIXES = ".jsonl, .json, .csv, .tsv, .parquet, .arrow or .txt file, or a folder of datasets"


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


def check_files(paths: Sequence[Path], columns: Mapping[str, str] | None = None) -> None:
    """Check files as `check_file` does, before the first of them is read.

    Raises:
        FileNotFoundError: As `check_file`.
        ValueError: As `check_file`; if there are names of columns and no file.
    """
    if columns and not paths:
        raise ValueError("Parameter `columns` should be for files of yours. Found none; set `train_file`.")
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
    rows = read_folder(path) if path.is_dir() else _reader(path)(path)
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
        ".parquet": read_parquet,
        ".arrow": read_arrow,
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
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} should be JSON that can be read. Found: {error}.") from error
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
            except (ValueError, RecursionError):
                broken.append(number)
    if broken:
        raise ValueError(
            f"{path} should be JSON on every line. Found {len(broken)} broken lines, first line {broken[0]}."
        )
    return records


def _read_csv(path: Path) -> list[object]:
    # Excel may say in a first line what separates fields.
    text = re.sub(r"^sep=(.)\r?\n", "", read_text(path))
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
