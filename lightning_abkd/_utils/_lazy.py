"""Names that are imported when they are first used."""

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence

UNTIL = "0.3"
# The addresses of all old names of the modules that are imported.
OLD_ADDRESSES: set[str] = set()


def export_lazily(
    module: str,
    places: Mapping[str, Sequence[str]],
    renamed: Mapping[str, str] | None = None,
    rooms: Sequence[str] = (),
) -> None:
    """Make a module export names of other modules, each imported when it is first used.

    Sets the module's `__all__`, `__dir__` and `__getattr__`. Call it where type checkers do not look, beside
    imports of the same names under `TYPE_CHECKING`: a type checker that sees a `__getattr__` accepts every name.

    Args:
        module: Name of the module, its `__name__`.
        places: Names to export, by the module that defines them.
        renamed: New names by old name, see `renamed_names`.
        rooms: Submodules to import when they are first used; not in `__all__`.

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
        # From now on it is an ordinary attribute.
        namespace[name] = value
        return value

    namespace["__all__"] = sorted(place_of)
    # A catalogue is one file; with a path, imports from its former files reach `forward_old_files`.
    namespace.setdefault("__path__", [])
    namespace["__dir__"] = lambda: sorted({*filter(_is_special, namespace), *place_of, *rooms})
    namespace["__getattr__"] = __getattr__


def _is_special(name: str) -> bool:
    """Return True for `__file__` and its like, which `dir` shows; what a module imports for itself is left out."""
    return name.startswith("__")


def renamed_message(old: str, new: str) -> str:
    """Return the sentence of every warning about an old name.

    Example:
        >>> renamed_message("losses.LogitStandardization", "losses.LSD")
        'losses.LogitStandardization is now losses.LSD; the old name will be removed in version 0.3.'
    """
    return f"{old} is now {new}; the old name will be removed in version {UNTIL}."


def renamed_names(module: str, renamed: Mapping[str, str], stacklevel: int = 2) -> Callable[[str], object]:
    """Build the `__getattr__` of a module that forwards old names with a DeprecationWarning.

    Args:
        module: Name of the module that the function is for.
        renamed: New names by old name; a new name with a dot is the full path of an object that has moved.
        stacklevel: Whose line the warning names: 2 for the function's caller, 3 for the caller of that one.

    Returns:
        The function; it raises AttributeError for every other name.
    """
    OLD_ADDRESSES.update(f"{module}.{name}" for name in renamed)

    def __getattr__(name: str) -> object:
        if name not in renamed:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        place, _, new = renamed[name].rpartition(".")
        place = place or module
        warnings.warn(
            renamed_message(f"{module}.{name}", f"{place}.{new}"),
            DeprecationWarning,
            stacklevel=stacklevel,
        )
        return getattr(importlib.import_module(place), new)

    return __getattr__
