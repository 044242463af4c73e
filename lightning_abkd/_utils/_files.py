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
    raise FileNotFoundError(
        f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r} in {Path.cwd()}."
    )


@contextmanager
def reading_pretrained(path: str, what: str) -> Iterator[None]:
    """Raise what transformers raises about a wrong path or a broken folder as one sentence that names it.

    Errors about missing packages and memory stay as they are.

    Raises:
        FileNotFoundError: If `path` is no folder, and the hub gives nothing for it.
        ValueError: If what is there cannot be read.

    Example:
        >>> with reading_pretrained(".", "a CLIP"):
        ...     raise ValueError("No type.")
        Traceback (most recent call last):
        ValueError: Parameter `path` should lead to a CLIP. Found '.', which cannot be read (ValueError: No type.).
    """
    try:
        yield
    except (ImportError, MemoryError):
        raise
    except Exception as error:  # every reader has its own exceptions for broken files
        kind = type(error).__name__
        if "OutOfMemory" in kind:
            raise
        reason = str(error).strip().partition("\n")[0]
        if isinstance(error, OSError) and not Path(path).is_dir():
            raise FileNotFoundError(
                f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r} in "
                f"{Path.cwd()}, and no such name in reach ({reason})."
            ) from None
        raise ValueError(
            f"Parameter `path` should lead to {what}. Found {path!r}, which cannot be read ({kind}: {reason})."
        ) from None
