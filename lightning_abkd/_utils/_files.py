"""Files that are written whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
