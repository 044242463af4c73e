"""How the command reports an error: in one line, without a traceback."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


def fail(message: str) -> NoReturn:
    """Write the message and exit with the status of a wrong command line."""
    sys.stderr.write(f"abkd: {message}\n")
    stop = SystemExit(2)
    stop.add_note(message)
    raise stop


def message_of(error: BaseException) -> str:
    """Return what an error says in one line; for an exit, what `fail` said before it."""
    notes: list[str] = getattr(error, "__notes__", [])
    text = notes[0] if isinstance(error, SystemExit) and notes else str(error)
    return " ".join(text.split()) or type(error).__name__


@contextmanager
def readable_errors() -> Iterator[None]:
    """Report the errors that this package raises on purpose in one sentence."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, AttributeError, FloatingPointError) as error:
        ours = _ours(error)
        if ours is None or os.environ.get("ABKD_TRACEBACK"):
            raise
        fail(f"{ours} (ABKD_TRACEBACK=1 shows where this comes from.)")


def _ours(error: BaseException | None) -> BaseException | None:
    """Return the error, or else the first of those that caused it, that this package raised; None if it raised none."""
    while error is not None and not _is_ours(error):
        error = error.__cause__
    return error


def _is_ours(error: BaseException) -> bool:
    """Return True if the error was raised by a line of this package, or is of a kind that it raises in a worker."""
    frames = traceback.extract_tb(error.__traceback__)
    here = bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent.parent)
    return here or type(error).__module__.partition(".")[0] == __name__.partition(".")[0]
