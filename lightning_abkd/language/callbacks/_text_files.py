"""Files that callbacks write."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from lightning_abkd._utils import full_disk, write_whole


def append_lines(path: Path, rows: Iterable[Mapping[str, object]]) -> None:
    """Append one line of JSON per row. The operating system has all of them when this returns.

    Raises:
        ValueError: If the file is a link, which would lead the lines elsewhere.
        OSError: If the disk is full; the lines before stay, and a last one that is cut off is left out by readers.
    """
    if path.is_symlink():
        raise ValueError(f"File `{path}` should be a file itself. Found a link to {path.resolve()}. Name that instead.")
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{json.dumps(row)}\n" for row in rows))
    except OSError as error:
        raise full_disk(error, path) or error from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole: if the process is killed meanwhile, it is either the old or the new one."""
    with write_whole(path) as part:
        part.write_text(text, encoding="utf-8")
