"""What a name that does not exist most likely means."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "", cutoff: float = 0.6) -> str:
    """Ask whether the closest of the known names is meant; return another text if none is close.

    Example:
        >>> did_you_mean("losess", ["losses", "data"]), did_you_mean("x", ["losses"], "Take losses.")
        ('Did you mean losses?', 'Take losses.')
    """
    close = get_close_matches(name, list(known), 1, cutoff)
    return f"Did you mean {close[0]}?" if close else otherwise


def did_you_mean_file(path: str, pattern: str = "*") -> str:
    """Ask whether the file of the closest name in the same folder is meant; return nothing if none is close."""
    folder = Path(path).parent
    names = {each.name: str(each) for each in folder.glob(pattern)} if folder.is_dir() else {}
    close = get_close_matches(Path(path).name, names, 1)
    return f"Did you mean {names[close[0]]}?" if close else ""
