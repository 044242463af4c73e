"""The public addresses of the library's classes and functions, which commands, configs and messages show."""

import difflib
import importlib
import warnings
from functools import cache
from pkgutil import resolve_name
from types import ModuleType

from jsonargparse import _util

from lightning_abkd.cli._class_change import forget_defaults
from lightning_abkd.cli._open_types import take_classes
from lightning_abkd.cli._short_names import find_short_names
from lightning_abkd.training import refuse_other_calls

_PACKAGE = "lightning_abkd"
# A name that two rooms export is shown with the first of them.
_ROOMS = ("modules", "data", "models", "callbacks", "losses", "metrics", "functional", "schedules")
_SIMILAR = 0.6
_VERY_SIMILAR = 0.75


def public_addresses() -> list[str]:
    """Return the address of every public class and function, such as `lightning_abkd.modules.DistillationModule`."""
    rooms = [importlib.import_module(f"{_PACKAGE}.{room}") for room in _ROOMS]
    return [f"{room.__name__}.{name}" for room in rooms for name in _names(room)]


@cache
def public_objects() -> dict[str, object]:
    """Import and return everything public, by its address."""
    return {address: resolve_name(address) for address in public_addresses()}


def show_public_addresses() -> None:
    """Make jsonargparse find every public class by its short name, and write it by its public address.

    jsonargparse finds only classes that are imported, so this imports everything public. Versions before 4.51 take no
    addresses: they write the shortest path that leads to a class.
    """
    found = public_objects()
    find_short_names(found)
    take_classes(found)
    forget_defaults()
    refuse_other_calls()
    written = getattr(_util, "resolved_import_paths", None)
    if written is None:
        return
    for address, value in reversed(found.items()):
        if callable(value):
            written.add(value, address)


def closest_address(class_path: str) -> str | None:
    """Return the public address that a wrong class path most likely means, or None.

    Args:
        class_path: Path or short name. For a path in another package the result is None. A short name may mean a class
            of any package, so it has to be more similar than a path.

    Example:
        >>> closest_address("lightning_abkd.losses.AlphaBetaDivergense")
        'lightning_abkd.losses.AlphaBetaDivergence'
    """
    place, _, name = class_path.rpartition(".")
    if place and place.partition(".")[0] != _PACKAGE:
        return None
    addresses = public_addresses()
    if exact := _address_by_name(name, addresses):
        return exact
    here = [address for address in addresses if address.rpartition(".")[0] == place]
    for candidates in (here, addresses):
        by_name = {address.rpartition(".")[2]: address for address in reversed(candidates)}
        close = difflib.get_close_matches(name, by_name, 1, _SIMILAR if place else _VERY_SIMILAR)
        if close:
            return by_name[close[0]]
    return None


def _address_by_name(name: str, addresses: list[str]) -> str | None:
    """Return the public address of what some room offers by a name, which may be an old one, or None."""
    for place in dict.fromkeys(address.rpartition(".")[0] for address in addresses):
        with warnings.catch_warnings(action="ignore"):
            value = getattr(importlib.import_module(place), name, None)
        address = f"{place}.{getattr(value, '__name__', '')}"
        if address in addresses:
            return address
    return None


def _names(room: ModuleType) -> list[str]:
    """Return the names that a room lists, or else those that it defines."""
    listed: list[str] | None = getattr(room, "__all__", None)
    if listed is not None:
        return listed
    defined = [name for name, value in vars(room).items() if getattr(value, "__module__", None) == room.__name__]
    return [name for name in defined if not name.startswith("_")]
