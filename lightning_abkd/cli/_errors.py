"""How the command reports an error: in one line, without a traceback."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import NoReturn

from lightning_abkd.cli._library_errors import library_sentence

_OURS = (ValueError, TypeError, OSError, ImportError, AttributeError, FloatingPointError, NotImplementedError)
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
    said = notes[0] if isinstance(error, SystemExit) and notes else _sentence(_root(error))
    text = said or str(error)
    return " ".join(text.split()) or type(error).__name__


def warn(message: str) -> None:
    """Write a warning of the command, which goes on."""
    sys.stderr.write(f"abkd: Warning: {message}\n")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Report the errors that this package, or a library that it calls, raises on purpose in one sentence.

    An error of a user's own class keeps its traceback, without those of what called the class.
    """
    try:
        yield
    except Exception as error:
        root = _root(error)
        if os.environ.get("ABKD_TRACEBACK") or _RAISED.get():
            raise
        sentence = _sentence(root)
        if sentence is None and root is error:
            raise
        if sentence is None:
            raise root from None
        fail(f"{sentence} (ABKD_TRACEBACK=1 shows where this comes from.)")


def _sentence(error: BaseException) -> str | None:
    """Return what to say of an error that was raised on purpose, None for any other."""
    if _is_ours(error):
        return str(error) if isinstance(error, _OURS) else None
    return library_sentence(error, _place(error))


@contextmanager
def raised_errors() -> Iterator[None]:
    """Let the errors pass that `readable_errors` would report, for a caller that reports them itself."""
    token = _RAISED.set(True)
    try:
        yield
    finally:
        _RAISED.reset(token)


def _root(error: BaseException) -> BaseException:
    """Return this package's own error among the causes, else that below jsonargparse's, which name only the config."""
    cause: BaseException | None = error
    while cause is not None and not _is_ours(cause):
        cause = cause.__cause__
    if cause is not None:
        return cause
    while error.__cause__ is not None and "jsonargparse" in _place(error).parts:
        error = error.__cause__
    return error


def _is_ours(error: BaseException) -> bool:
    """Return True if the error was raised by a line of this package, or is of a kind that it raises in a worker."""
    here = _place(error).is_relative_to(Path(__file__).parent.parent)
    return here or type(error).__module__.partition(".")[0] == __name__.partition(".")[0]


def _place(error: BaseException) -> Path:
    """Return the file that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename) if frames else Path()
