"""Files of instructions, conversations and plain text."""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = ".jsonl, .json, .csv, .parquet or .txt file, or a folder of datasets"
_INSTRUCTION, _CONTEXT, _RESPONSE = ("instruction", "prompt"), ("input", "context"), ("output", "response")


@dataclass(frozen=True)
class Record:
    """One record of a file: an instruction, a conversation, or plain text, which has neither.

    Args:
        responses: Texts that answer the prompt, the first to be trained on; plain text itself if there is no prompt.
        instruction: The task.
        context: What the task is about, or nothing.
        messages: Conversation up to the response, each a mapping of role and content.
    """

    responses: tuple[str, ...]
    instruction: str | None = None
    context: str = ""
    messages: tuple[Mapping[str, str], ...] = ()

    @property
    def is_text(self) -> bool:
        """Whether it has no prompt."""
        return self.instruction is None and not self.messages


def read_records(path: str | Path) -> list[Record]:
    """Read every record of a file or of a folder that `datasets.Dataset.save_to_disk` has written.

    The columns say what a record is, the first that is found: `messages` (a list of role and content; the last message
    of the assistant is the response, what comes after it is left out); `instruction` (or prompt) with `output` (or
    response; text, or a list of texts that are as good) and perhaps `input` (or context); `text`. A .txt file holds
    plain text, its documents separated by blank lines.

    Args:
        path: A .jsonl, .json (a list), .csv, .parquet or .txt file, or a folder; one with splits has to have only one.

    Returns:
        The records, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file, or the folder holds no data set.
        ModuleNotFoundError: If a .parquet file or a folder is to be read without `datasets`.
        ValueError: If a line is broken, a column is missing, the suffix is unknown, or there is no record or no single
            split.

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
    records = _parse(path)
    if not records:
        raise ValueError(f"{path} should hold at least one record. Found an empty file.")
    return [_record(record, f"{path}, record {number}") for number, record in enumerate(records, 1)]


def _parse(path: Path) -> list[object]:
    if path.is_dir():
        return _saved(path)
    if path.suffix == ".parquet":
        return _parquet(path)
    if path.suffix == ".csv":
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    if path.suffix not in (".json", ".jsonl", ".txt"):
        raise ValueError(f"Language data should be a {_SUFFIXES}. Found the suffix {path.suffix!r}.")
    content = path.read_text(encoding="utf-8")
    if path.suffix == ".txt":
        return [{"text": text.strip("\n")} for text in re.split(r"\n\s*\n", content) if text.strip()]
    return _json(content, path) if path.suffix == ".json" else _json_lines(content, path)


def _json(text: str, path: Path) -> list[object]:
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} should be JSON. Found {error.msg} in line {error.lineno}.") from error
    if not isinstance(content, list):
        raise ValueError(f"{path} should hold a list of records. Found {type(content).__name__}.")
    return content


def _json_lines(text: str, path: Path) -> list[object]:
    records, broken = [], []
    # str.splitlines would also split at separators that JSON allows inside a string.
    for number, line in enumerate(text.split("\n"), 1):
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


def _parquet(path: Path) -> list[object]:
    try:
        from pyarrow.parquet import read_table  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reading .parquet files needs pyarrow: pip install 'lightning-abkd[language]'."
        ) from error
    return list(read_table(path).to_pylist())


def _saved(path: Path) -> list[object]:
    try:
        from datasets import DatasetDict, load_from_disk  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Reading saved data sets needs datasets: pip install 'lightning-abkd[language]'."
        ) from error
    if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise FileNotFoundError(f"{path} should be written by `datasets.Dataset.save_to_disk`. Found another folder.")
    content = load_from_disk(str(path))
    if isinstance(content, DatasetDict):
        if len(content) != 1:
            raise ValueError(
                f"{path} should hold one split. Found {', '.join(content)}. Name one of its folders instead."
            )
        (content,) = content.values()
    return list(content.to_list())


def _record(record: object, place: str) -> Record:
    if not isinstance(record, Mapping):
        raise ValueError(f"{place} should be an object. Found {type(record).__name__}.")
    if "messages" in record:
        return _conversation(record["messages"], place)
    instruction = _column(record, _INSTRUCTION)
    if instruction is None and "text" in record:
        return Record((_text(record["text"]),))
    response = _column(record, _RESPONSE)
    for column, names in ((instruction, _INSTRUCTION), (response, _RESPONSE)):
        if column is None:
            other = ", or a column messages or text" if names is _INSTRUCTION else ""
            raise ValueError(
                f"{place} should have a column {' or '.join(names)}{other}. Found {', '.join(map(str, record))}."
            )
    responses = record[response] if isinstance(record[response], list) else [record[response]]
    context = _column(record, _CONTEXT)
    return Record(
        tuple(map(_text, responses)) or ("",),
        _text(record[instruction]),
        "" if context is None else _text(record[context]),
    )


def _column(record: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    return next((name for name in names if name in record), None)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _conversation(messages: object, place: str) -> Record:
    turns = messages if isinstance(messages, list) else []
    if not turns or not all(isinstance(t, Mapping) and {"role", "content"} <= t.keys() for t in turns):
        raise ValueError(f"{place} should have `messages` that each have role and content. Found {messages!r}.")
    last = max((i for i, turn in enumerate(turns) if turn["role"] == "assistant"), default=0)
    if last == 0:
        raise ValueError(
            f"{place} should have a message of the assistant after another one. "
            f"Found the roles {', '.join(str(turn['role']) for turn in turns)}."
        )
    prompt = tuple({"role": _text(turn["role"]), "content": _text(turn["content"])} for turn in turns[:last])
    return Record((_text(turns[last]["content"]),), messages=prompt)
