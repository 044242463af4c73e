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
        ours = next(filter(_is_ours, _causes(error)), None)
        if ours is None or os.environ.get("ABKD_TRACEBACK"):
            raise
        fail(f"{ours} (ABKD_TRACEBACK=1 shows where this comes from.)")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and those that caused it, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_ours(error: BaseException) -> bool:
    """Return True if the error was raised by a line of this package."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent.parent)
