"""How the command reports an error: in one line, without a traceback."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn

_RAISED: ContextVar[bool] = ContextVar("raised", default=False)


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
        root = _root(error)
        if not _is_ours(root) or os.environ.get("ABKD_TRACEBACK") or _RAISED.get():
            raise
        fail(f"{root} (ABKD_TRACEBACK=1 shows where this comes from.)")


@contextmanager
def raised_errors() -> Iterator[None]:
    """Let the errors pass that `readable_errors` would report, for a caller that reports them itself."""
    token = _RAISED.set(True)
    try:
        yield
    finally:
        _RAISED.reset(token)


def _root(error: BaseException) -> BaseException:
    """Return the error that caused all others."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_ours(error: BaseException) -> bool:
    """Return True if the error was raised by a line of this package."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent.parent)
