"""Files that are written whole or not at all, and paths that are a folder or a name on the hub."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Yield the path of a temporary file, which replaces `path` when the block ends without an error.

    If the process is killed while it writes, the former file stays as it was.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with write_whole(Path(folder, "a.txt")) as part:
        ...         _ = part.write_text("all of it")
        ...     Path(folder, "a.txt").read_text()
        'all of it'
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def folder_or_hub(path: str) -> str:
    """Return `path` unchanged if it is a folder or has the form `owner/name` of a repository on the hub.

    Raises:
        FileNotFoundError: If it is neither an existing folder nor of the form `owner/name`.

    Example:
        >>> folder_or_hub("openai-community/gpt2")
        'openai-community/gpt2'
    """
    if Path(path).is_dir() or _HUB_NAME.fullmatch(path):
        return path
    raise FileNotFoundError(f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r}.")
