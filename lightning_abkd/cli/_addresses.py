"""The public addresses of the library's classes and functions, which commands, configs and messages show."""

import difflib
from types import ModuleType

from jsonargparse._util import resolved_import_paths

from lightning_abkd import callbacks, data, functional, losses, metrics, models, modules, schedules

# A name that two rooms offer is shown by the first of them.
_ROOMS: tuple[ModuleType, ...] = (modules, data, models, callbacks, losses, metrics, functional, schedules)


def public_addresses() -> dict[str, object]:
    """Return every public class and function by its address, such as `lightning_abkd.modules.DistillationModule`.

    All of them are imported, so that short class names are found as well.
    """
    return {f"{room.__name__}.{name}": getattr(room, name) for room in _ROOMS for name in _names(room)}


def show_public_addresses() -> None:
    """Let jsonargparse write a class by its public address, wherever its file lies."""
    for address, value in reversed(public_addresses().items()):
        if callable(value):
            resolved_import_paths.add(value, address)


def closest_address(class_path: str) -> str | None:
    """Return the public address that a mistyped class path most likely means, or None.

    Example:
        >>> closest_address("lightning_abkd.losses.AlphaBetaDivergense")
        'lightning_abkd.losses.AlphaBetaDivergence'
    """
    addresses = list(public_addresses())
    by_name = {address.rpartition(".")[2]: address for address in addresses}
    name = class_path.rpartition(".")[2]
    if name in by_name:
        return by_name[name]
    close = difflib.get_close_matches(name, by_name, 1)
    return by_name[close[0]] if close else None


def _names(room: ModuleType) -> list[str]:
    listed: list[str] | None = getattr(room, "__all__", None)
    if listed is not None:
        return listed
    return [name for name, value in vars(room).items() if getattr(value, "__module__", None) == room.__name__]
