"""Tables of names that are loaded when they are touched."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

UNTIL = "0.3"


def export_lazily(
    module: str,
    places: Mapping[str, Sequence[str]],
    renamed: Mapping[str, str] | None = None,
    rooms: Sequence[str] = (),
) -> None:
    """Let a module offer names that lie elsewhere, each imported when it is first touched.

    Sets the module's `__all__`, `__dir__` and `__getattr__`. To be called where type checkers do not look, beside the
    same names imported under `TYPE_CHECKING`: a `__getattr__` that they see makes them accept every name.

    Args:
        module: Name of the module, its `__name__`.
        places: Names by the module that holds them.
        renamed: New names by the old ones, see `renamed_names`.
        rooms: Submodules to import when they are touched; not in `__all__`.

    Example:
        >>> import lightning_abkd.models
        >>> "resnet20" in dir(lightning_abkd.models)
        True
    """
    place_of = {name: place for place, names in places.items() for name in names}
    forward = renamed_names(module, renamed or {}, stacklevel=3)
    namespace = vars(sys.modules[module])

    def __getattr__(name: str) -> object:
        if name in rooms:
            return importlib.import_module(f"{module}.{name}")
        if name not in place_of:
            return forward(name)
        value = getattr(importlib.import_module(place_of[name]), name)
        # From now on an ordinary attribute.
        namespace[name] = value
        return value

    namespace["__all__"] = sorted(place_of)
    namespace["__dir__"] = lambda: sorted({*filter(_is_special, namespace), *place_of, *rooms})
    namespace["__getattr__"] = __getattr__


def _is_special(name: str) -> bool:
    """Return True for `__file__` and its like, which `dir` shows; what a module imports for itself is left out."""
    return name.startswith("__")


def renamed_names(module: str, renamed: Mapping[str, str], stacklevel: int = 2) -> Callable[[str], object]:
    """Build the `__getattr__` of a module that forwards old names with a DeprecationWarning.

    Args:
        module: Name of the module it is for.
        renamed: New names by the old ones; a new name with a dot is the full path of what has moved.
        stacklevel: Whose line the warning names: 2 is the caller's of the function, 3 the caller's caller.

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
            stacklevel=stacklevel,
        )
        return getattr(importlib.import_module(place), new)

    return __getattr__
