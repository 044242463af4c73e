"""Which classes and functions an option takes by short name: the package's first."""

import inspect

from torch import nn

from lightning_abkd.cli._addresses import public_objects
from lightning_abkd.cli._catalogue import of_kind
from lightning_abkd.cli._short_names import bases, builds, classes

_MOST = 12


def candidates(hint: object, most: int = _MOST) -> str:
    """Return a sentence with the short names of what a type hint takes, or nothing for plain values.

    Args:
        hint: Type of an option.
        most: Number of names from other packages.
    """
    wanted = bases(hint)
    if nn.Module in wanted:
        return f"Takes {', '.join(each.name for each in of_kind('networks'))}, or any network by its path."
    ours = [address.rpartition(".")[2] for address, value in public_objects().items() if _fits(value, wanted)]
    others = sorted(_others(wanted).difference(ours))
    names = ", ".join([*dict.fromkeys(ours), *others[:most]])
    more = ", …" if len(others) > most > 0 else "."
    return f"Takes {names}{more}" if names else ""


def _others(wanted: tuple[type, ...]) -> set[str]:
    """Return the names of all classes below some, without those that are there to be derived from."""
    names = {each.__name__ for each in classes(wanted) if each not in wanted}
    return {each for each in names if not each.startswith("Base")}


def _fits(value: object, wanted: tuple[type, ...]) -> bool:
    if not inspect.isclass(value):
        return builds(value, wanted)
    return bool(wanted) and issubclass(value, wanted) and value not in wanted and not inspect.isabstract(value)
