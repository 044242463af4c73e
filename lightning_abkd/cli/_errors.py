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
    raise SystemExit(2)


@contextmanager
def readable_errors() -> Iterator[None]:
    """Report the errors that this package raises on purpose in one sentence."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, AttributeError, FloatingPointError) as error:
        root = _root(error)
        if not _is_ours(root) or os.environ.get("ABKD_TRACEBACK"):
            raise
        fail(f"{root} (ABKD_TRACEBACK=1 shows where this comes from.)")


def _root(error: BaseException) -> BaseException:
    """Return the error that caused all others."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _is_ours(error: BaseException) -> bool:
    """Return True if the error was raised by a line of this package."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(Path(__file__).parent.parent)
