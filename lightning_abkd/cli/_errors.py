"""What is wrong with a command, in one sentence."""

import difflib
import importlib
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

# Lines of jsonargparse that repeat what was tried, not what is wrong.
_NOISE = re.compile(
    r"Does not validate|Subtypes:|Errors:|Expected a <class 'NoneType'>$|Given value|Not a valid subclass|"
    r"Subclass types expect|a class path|a dict with|Parser key|Problem with given class_path|NestedArg|Namespace\("
)


def fail(message: str) -> NoReturn:
    sys.stderr.write(f"abkd: {message}\n")
    raise SystemExit(2)


def _advice(class_path: str, cause: str) -> str:
    """List what a class accepts after an option that it does not."""
    unknown = re.search(r"Option '([\w.]+)' is not accepted", cause)
    module, _, name = class_path.rpartition(".")
    if not unknown or not module:
        return ""
    accepted = list(inspect.signature(getattr(importlib.import_module(module), name)).parameters)
    close = difflib.get_close_matches(unknown[1], accepted, 1)
    return f". Did you mean {close[0]!r}?" if close else f". It accepts {', '.join(accepted)}."


def one_sentence(message: str) -> str:
    """Say in one sentence which key of which class is wrong and why: the innermost cause of a nested report."""
    keys = list(dict.fromkeys(re.findall(r'Parser key "([^"]+)"', message)))
    classes = re.findall(r"Problem with given class_path '([^']+)'", message)
    innermost = re.split(r"Problem with given class_path '[^']+':", message)[-1]
    lines = [line.strip(" -") for line in innermost.splitlines()]
    # A cause may stand on the line of its key.
    lines = [re.sub(r'^Parser key "[^"]+":\s*', "", line) for line in lines]
    causes = [line for line in lines if line and not _NOISE.search(line)]
    cause = causes[0] if causes else " ".join(message.split())
    place = ".".join(keys) + (f" ({classes[-1]})" if classes else "")
    if found := re.search(r"Expected a path but (\S+) either not accessible", cause):
        cause = f"Found no class {found[1]!r}; give its path, such as package.module.Class."
    return (f"{place}: " if place else "") + cause + (_advice(classes[-1], cause) if classes else "")


@contextmanager
def readable_errors() -> Iterator[None]:
    """Turn the errors that this package raises on purpose into their one sentence."""
    try:
        yield
    except (ValueError, TypeError, OSError, ImportError, AttributeError, FloatingPointError) as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        frames = traceback.extract_tb(root.__traceback__)
        ours = frames and Path(frames[-1].filename).is_relative_to(Path(__file__).parent.parent)
        if not ours or os.environ.get("ABKD_TRACEBACK"):
            raise
        fail(f"{root} (ABKD_TRACEBACK=1 shows where this comes from.)")
