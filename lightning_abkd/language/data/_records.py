"""Records of instructions, conversations and plain text, read from files."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lightning_abkd.language.data._columns import Row, check_columns, check_mapped, renamed
from lightning_abkd.language.data._layouts import read_row
from lightning_abkd.language.data._record import Record as Record
from lightning_abkd.language.data._record_files import read_rows


@dataclass(frozen=True)
class Reading:
    """The records of a file, and what a user should know of how they were read.

    Args:
        records: The records in the order of the file.
        places: File and number of each, for errors.
        rows: Number of rows of the file.
        notes: How often each thing happened.
    """

    records: list[Record]
    places: list[str]
    rows: int
    notes: Counter[str] = field(default_factory=Counter)


def read_records(path: str | Path, columns: Mapping[str, str] | None = None) -> list[Record]:
    """Read every record of a file, or of a folder that `datasets.Dataset.save_to_disk` has written.

    The columns decide what a record is. A null column is an absent one. The first of these that is found counts:

    - `messages`: a conversation in the layout of OpenAI, with tools if there is a column `tools`; or `conversations`
      in that of ShareGPT. The last message of the assistant is the response; what comes after it is left out.
    - `instruction` (or prompt, question) with `output` (or response, completion, answer, chosen): a task. The output is
      a text, or a list of texts that are equally good. `input` (or context) is optional. Prompt and completion may be
      conversations, as in TRL. Of a pair of preferences the chosen response is taken.
    - `chosen` and `rejected` alone, which begin with their prompt.
    - `text`: plain text. A .txt file holds plain text, too, its documents separated by blank lines.

    Text is in UTF-8 or UTF-16. Files may be compressed with gzip, zstd, bzip2 or xz (.jsonl.gz).

    Args:
        path: A .jsonl, .json (a list), .csv, .tsv, .parquet, .arrow or .txt file, or a folder with a single split.
        columns: Columns of the file that have other names, by the names above.

    Returns:
        The records, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file, or the folder holds no data set.
        ModuleNotFoundError: If pyarrow is missing for a .parquet, .arrow or .zst file, or `datasets` for a folder.
        ValueError: If a line is broken, a column is missing or holds something else than text, the suffix is unknown,
            there is no record, or there are several splits. It names the file, the record and the column.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.jsonl"
        >>> _ = file.write_text('{"prompt": "Add 1 and 2.", "response": "3"}')
        >>> read_records(file)
        [Record(responses=('3',), instruction='Add 1 and 2.', context='', messages=())]
    """
    return read_file(Path(path), columns).records


def read_file(path: Path, columns: Mapping[str, str] | None = None) -> Reading:
    """Read every record of a file as `read_records` does, and count what a user should know of.

    Raises:
        FileNotFoundError: As `read_records`.
        ModuleNotFoundError: As `read_records`.
        ValueError: As `read_records`.
    """
    check_columns(columns)
    rows = read_rows(path)
    check_mapped(path, rows, columns or {})
    reading = Reading([], [], len(rows))
    for number, values in enumerate(rows, 1):
        place = f"{path}, record {number}"
        if not isinstance(values, Mapping):
            raise ValueError(f"{place} should be an object. Found {type(values).__name__}.")
        row = Row(renamed(values, columns or {}), place, reading.notes)
        records = read_row(row)
        reading.records.extend(records)
        reading.places.extend([place] * len(records))
    return reading
