"""Records of instructions, conversations and plain text, read from files."""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lightning_abkd._utils import require

_SUFFIXES = ".jsonl, .json, .csv, .parquet or .txt file, or a folder of datasets"
_INSTRUCTION = ("instruction", "prompt")
_CONTEXT = ("input", "context")
_RESPONSE = ("output", "response")


@dataclass(frozen=True)
class Record:
    """One record of a file: an instruction, a conversation, or plain text, which has neither.

    Args:
        responses: Texts that respond to the prompt, of which the first is trained on; without a prompt the plain text.
        instruction: The task; None for conversations and plain text.
        context: What the task is about; may be empty.
        messages: Conversation up to the response, each a mapping of role and content.

    Example:
        >>> Record(("3",), instruction="Add.", context="1 and 2").is_text
        False
    """

    responses: tuple[str, ...]
    instruction: str | None = None
    context: str = ""
    messages: tuple[Mapping[str, str], ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether the record is plain text, which has no prompt."""
        return self.instruction is None and not self.messages


def read_records(path: str | Path) -> list[Record]:
    """Read every record of a file, or of a folder that `datasets.Dataset.save_to_disk` has written.

    The columns decide what a record is; the first of these that is found counts:

    - `messages`: a conversation, a list of role and content. The last message of the assistant is the response; what
      comes after it is left out.
    - `instruction` (or prompt) with `output` (or response): a task. The output is a text, or a list of texts that are
      equally good. `input` (or context) is optional.
    - `text`: plain text. A .txt file holds plain text, too, its documents separated by blank lines.

    Args:
        path: A .jsonl, .json (a list), .csv, .parquet or .txt file, or a folder with a single split.

    Returns:
        The records, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file, or the folder holds no data set.
        ModuleNotFoundError: If pyarrow is missing for a .parquet file, or `datasets` for a folder.
        ValueError: If a line is broken, a column is missing, the suffix is unknown, there is no record, or there are
            several splits.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = file.write_text('{"prompt": "Add 1 and 2.", "response": "3"}')
        >>> read_records(file)
        [Record(responses=('3',), instruction='Add 1 and 2.', context='', messages=())]
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"Language data should be a {_SUFFIXES}. Found no file at {path}.")
    records = _read_folder(path) if path.is_dir() else _read_file(path)
    if not records:
        raise ValueError(f"{path} should hold at least one record. Found an empty file.")
    return [_record(record, f"{path}, record {number}") for number, record in enumerate(records, 1)]


def _read_file(path: Path) -> list[object]:
    readers = {
        ".json": _read_json,
        ".jsonl": _read_json_lines,
        ".csv": _read_csv,
        ".parquet": _read_parquet,
        ".txt": _read_text,
    }
    if path.suffix not in readers:
        raise ValueError(f"Language data should be a {_SUFFIXES}. Found the suffix {path.suffix!r}.")
    return readers[path.suffix](path)


def _read_csv(path: Path) -> list[object]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read_text(path: Path) -> list[object]:
    documents = re.split(r"\n\s*\n", path.read_text(encoding="utf-8"))
    return [{"text": document.strip("\n")} for document in documents if document.strip()]


def _read_json(path: Path) -> list[object]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} should be JSON. Found {error.msg} in line {error.lineno}.") from error
    if not isinstance(content, list):
        raise ValueError(f"{path} should hold a list of records. Found {type(content).__name__}.")
    return content


def _read_json_lines(path: Path) -> list[object]:
    records: list[object] = []
    broken: list[int] = []
    # str.splitlines would also split at separators that JSON allows inside a string.
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if line.strip():
            try:
                records.append(json.loads(line))
            except json.JSONDecodeError:
                broken.append(number)
    if broken:
        raise ValueError(
            f"{path} should be JSON on every line. Found {len(broken)} broken lines, first line {broken[0]}."
        )
    return records


def _read_parquet(path: Path) -> list[object]:
    parquet = require("pyarrow.parquet", "language", "Reading .parquet files")
    return list(parquet.read_table(path).to_pylist())


def _read_folder(path: Path) -> list[object]:
    datasets = require("datasets", "language", "Reading saved data sets")
    if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise FileNotFoundError(f"{path} should be written by `datasets.Dataset.save_to_disk`. Found another folder.")
    content = datasets.load_from_disk(str(path))
    splits = content if isinstance(content, datasets.DatasetDict) else {"": content}
    if len(splits) != 1:
        raise ValueError(f"{path} should hold one split. Found {', '.join(splits)}. Name one of its folders instead.")
    return [record for split in splits.values() for record in split.to_list()]


def _record(record: object, place: str) -> Record:
    if not isinstance(record, Mapping):
        raise ValueError(f"{place} should be an object. Found {type(record).__name__}.")
    if "messages" in record:
        return _conversation(record["messages"], place)
    instruction = _column(record, _INSTRUCTION)
    if instruction is None and "text" in record:
        return Record((_text(record["text"]),))
    response = _column(record, _RESPONSE)
    if instruction is None:
        raise _missing_column(record, place, _INSTRUCTION, ", or a column messages or text")
    if response is None:
        raise _missing_column(record, place, _RESPONSE)
    context = _column(record, _CONTEXT)
    return Record(
        _texts(record[response]),
        _text(record[instruction]),
        "" if context is None else _text(record[context]),
    )


def _missing_column(
    record: Mapping[object, object], place: str, names: tuple[str, ...], alternative: str = ""
) -> ValueError:
    found = ", ".join(map(str, record))
    return ValueError(f"{place} should have a column {' or '.join(names)}{alternative}. Found {found}.")


def _column(record: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in record), None)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(_text, value if isinstance(value, list) else [value])) or ("",)


def _conversation(messages: object, place: str) -> Record:
    turns = _turns(messages, place)
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=0)
    if last == 0:
        raise ValueError(
            f"{place} should have a message of the assistant after another one. "
            f"Found the roles {', '.join(turn['role'] for turn in turns)}."
        )
    return Record((turns[last]["content"],), messages=tuple(turns[:last]))


def _turns(messages: object, place: str) -> list[dict[str, str]]:
    turns = messages if isinstance(messages, list) else []
    if not turns or not all(isinstance(turn, Mapping) and {"role", "content"} <= turn.keys() for turn in turns):
        raise ValueError(f"{place} should have `messages` that each have role and content. Found {messages!r}.")
    return [{"role": _text(turn["role"]), "content": _text(turn["content"])} for turn in turns]
