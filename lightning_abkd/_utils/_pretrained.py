"""Models of transformers: a folder or a name on the hub, read whole or refused in one sentence."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from lightning_abkd._utils._pickles import needed_code

T = TypeVar("T")
# What `from_pretrained` returns with `output_loading_info`: the model, and names by what was not right with them.
Loaded = tuple[T, Mapping[str, Collection[str]]]

_HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w.-]+")


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
    raise FileNotFoundError(f"{_no_folder(path)}.")


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
        if "trust_remote_code" in str(error):
            raise ValueError(
                f"Parameter `path` should lead to {what} without code of its own. Found some in {path!r}; "
                "it runs only where `trust_remote_code: true` asks for it. Read it first: it may do whatever you may."
            ) from None
        reason = _reason(error)
        if isinstance(error, OSError) and not Path(path).is_dir():
            raise FileNotFoundError(f"{_no_folder(path)}, and no such name in reach ({reason}).") from None
        raise ValueError(
            f"Parameter `path` should lead to {what}. Found {path!r}, which cannot be read ({kind}: {reason})."
        ) from None


def load_whole(load: Callable[..., Loaded[T]], path: str, what: str, **options: object) -> T:
    """Load a model, and refuse files that lack some of its weights, which transformers would leave random.

    Args:
        load: The `from_pretrained` of a class.
        path: Folder or name on the hub.
        what: What should be there, for messages.
        **options: Further arguments of `load`.

    Raises:
        FileNotFoundError: As `reading_pretrained`.
        ValueError: As `reading_pretrained` and `check_shards`, or if weights are missing.

    Example:
        >>> load_whole(lambda path, output_loading_info: ("the model", {"missing_keys": []}), ".", "a CLIP")
        'the model'
    """
    check_shards(Path(path))
    with reading_pretrained(path, what):
        model, found = load(path, output_loading_info=True, **options)
    if missing := sorted(found["missing_keys"]):
        more = ", …" if len(missing) > 3 else ""
        raise ValueError(
            f"{path} should hold all weights of {what}. Found {len(missing)} missing "
            f"({', '.join(missing[:3])}{more}). Save the whole model."
        )
    return model


def check_shards(folder: Path) -> None:
    """Raise ValueError if an index of weights in a local folder names files outside of the folder."""
    for index in folder.glob("*.index.json"):
        try:
            files = set(json.loads(index.read_text("utf-8"))["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError):
            # Who reads it says what is wrong with it.
            continue
        for name in sorted(map(str, files)):
            if name != Path(name).name:
                raise ValueError(f"Index {index} should name files beside it. Found {name!r}.")


def _reason(error: Exception) -> str:
    """Return the first line of an error; in place of torch's advice to run the code in any file, what a file needs."""
    needed = needed_code(error)
    if needed is not None:
        return f"it needs pickle to run code, which is never done: {needed}"
    return str(error).strip().partition("\n")[0]


def _no_folder(path: str) -> str:
    return f"Parameter `path` should be a folder or owner/name on the hub. Found no folder {path!r} in {Path.cwd()}"
