"""Instruction files."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path

_COLUMNS = {"instruction": ("instruction", "prompt"), "input": ("input", "context"), "output": ("output", "response")}


def read_records(path: str | Path) -> list[tuple[str, str, str]]:
    """Read instruction, input and output of every record of a .jsonl, .json or .csv file.

    Args:
        path: The file; columns may also be called prompt, context and response, and input may be absent.

    Returns:
        Triples of text.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a line is broken, a column is missing, the suffix is unknown, or the file holds no record.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = file.write_text('{"prompt": "Add 1 and 2.", "response": "3"}')
        >>> read_records(file)
        [('Add 1 and 2.', '', '3')]
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Instruction data should be a .jsonl, .json or .csv file. Found no file at {path}.")
    records = _parse(path)
    if not records:
        raise ValueError(f"{path} should hold at least one record. Found an empty file.")
    return [_fields(record, f"{path}, record {number}") for number, record in enumerate(records, 1)]


def _parse(path: Path) -> list[object]:
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".json":
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, list):
            raise ValueError(f"{path} should hold a list of records. Found {type(content).__name__}.")
        return content
    if path.suffix != ".jsonl":
        raise ValueError(f"Instruction data should be a .jsonl, .json or .csv file. Found the suffix {path.suffix!r}.")
    records, broken = [], []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                broken.append(number)
    if broken:
        raise ValueError(
            f"{path} should be JSON on every line. Found {len(broken)} broken, the first is line {broken[0]}."
        )
    return records


def _fields(record: object, place: str) -> tuple[str, str, str]:
    if not isinstance(record, Mapping):
        raise ValueError(f"{place} should be an object. Found {type(record).__name__}.")
    found = {}
    for field, names in _COLUMNS.items():
        name = next((name for name in names if name in record), None)
        if name is None and field != "input":
            raise ValueError(f"{place} should have a column {' or '.join(names)}. Found {', '.join(map(str, record))}.")
        found[field] = str(record[name] or "") if name else ""
    return found["instruction"], found["input"], found["output"]
