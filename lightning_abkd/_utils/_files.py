"""Files that are written whole or not at all, and names that may be a folder or lie on the hub."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


@contextmanager
def write_whole(path: str | Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, which takes its place when the block ends without an error.

    Whoever is killed while writing leaves the former file as it was.

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
    """Return the path of a folder, or the `owner/name` of a repository on the hub, as it was given.

    Raises:
        FileNotFoundError: If it is neither: no such folder, and not the form of a name on the hub.

    Example:
        >>> folder_or_hub("openai-community/gpt2")
        'openai-community/gpt2'
    """
    if Path(path).is_dir() or _HUB_NAME.fullmatch(path):
        return path
    raise FileNotFoundError(f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r}.")
