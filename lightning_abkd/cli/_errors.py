"""How the command reports an error: in one line, without a traceback."""

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from lightning_abkd.cli._library_errors import library_sentence

_OURS = (ValueError, TypeError, OSError, ImportError, AttributeError, FloatingPointError)


def fail(message: str) -> NoReturn:
    """Write the message and exit with the status of a wrong command line."""
    sys.stderr.write(f"abkd: {message}\n")
    raise SystemExit(2)


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
        if os.environ.get("ABKD_TRACEBACK"):
            raise
        sentence = _sentence(root)
        if sentence is None and root is error:
            raise
        if sentence is None:
            raise root from None
        fail(f"{sentence} (ABKD_TRACEBACK=1 shows where this comes from.)")


def _sentence(error: BaseException) -> str | None:
    """Return what to say of an error that was raised on purpose, None for any other."""
    place = _place(error)
    if place.is_relative_to(Path(__file__).parent.parent):
        return str(error) if isinstance(error, _OURS) else None
    return library_sentence(error, place)


def _root(error: BaseException) -> BaseException:
    """Return the error below those of jsonargparse, which only say where in the config it came from."""
    while error.__cause__ is not None and "jsonargparse" in _place(error).parts:
        error = error.__cause__
    return error


def _place(error: BaseException) -> Path:
    """Return the file that raised an error."""
    frames = traceback.extract_tb(error.__traceback__)
    return Path(frames[-1].filename) if frames else Path()
