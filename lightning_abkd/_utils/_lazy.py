"""Tables of names that are loaded when they are touched."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

UNTIL = "0.3"


def lazy_names(
    module: str, places: Mapping[str, Sequence[str]], renamed: Mapping[str, str] | None = None
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Build `__getattr__` and `__dir__` of a module whose names lie elsewhere.

    Args:
        module: Name of the module they are for.
        places: Names by the module that holds them.
        renamed: New names by the old ones, which warn.

    Returns:
        The two functions. What was touched once is an ordinary attribute from then on.

    Example:
        >>> get, list_names = lazy_names("lightning_abkd._utils._lazy", {"math": ["tau"]})
        >>> round(get("tau"), 2), list_names()
        (6.28, ['tau'])
    """
    place_of = {name: place for place, names in places.items() for name in names}
    forward = renamed_names(module, renamed or {})

    def __getattr__(name: str) -> object:
        if name not in place_of:
            return forward(name)
        value = getattr(importlib.import_module(place_of[name]), name)
        setattr(sys.modules[module], name, value)
        return value

    return __getattr__, lambda: sorted(place_of)


def renamed_names(module: str, renamed: Mapping[str, str]) -> Callable[[str], object]:
    """Build the `__getattr__` of a module that forwards old names with a DeprecationWarning.

    Args:
        module: Name of the module it is for.
        renamed: New names by the old ones; a new name with a dot is the full path of what has moved.

    Returns:
        The function; it raises AttributeError for every other name.
    """

    def __getattr__(name: str) -> object:
        if name not in renamed:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new = renamed[name].rpartition(".")
        place = place or module
        warnings.warn(
            f"{module}.{name} is now {place}.{new}; the old name goes with version {UNTIL}.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(importlib.import_module(place), new)

    return __getattr__
