"""What a class or function is called without its module: `ReverseKL`, `resnet20`, `EarlyStopping`, `AdamW`.

Here: how jsonargparse is told of short names. Not here: which names are public.
"""

import inspect
import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Mapping

from jsonargparse import _typehints, _util
from torch import Tensor

from lightning_abkd._utils import OLD_ADDRESSES

# Variants of torch's own layers, for quantisation and for adapters, bear the layers' names.
_VARIANTS = ("torch.ao.", "peft.")


def find_short_names(public: Mapping[str, object]) -> None:
    """Make jsonargparse find, by short name, every class that is imported and every public function that builds one.

    Args:
        public: What is public by its address. Of other packages only classes are found.
    """

    def resolve(base: object, name: str) -> str:
        if "." in name:
            return name
        return _resolve(base, name, [value for address, value in public.items() if name in _spellings(_last(address))])

    vars(_typehints)["resolve_class_path_by_name"] = resolve


def _resolve(base: object, name: str, public: Iterable[object]) -> str:
    """Return the address of the one class or function of a name that gives the base, or else the name.

    Raises:
        ValueError: If there are several.
    """
    paths = _paths(bases(base), name, public)
    if len(paths) > 1:
        raise ValueError(f"{name!r} may be {', '.join(sorted(paths))}; give the whole path.")
    old = [address for address in OLD_ADDRESSES if _last(address) == name]
    return next(iter([*paths, *old]), name)


def _paths(wanted: tuple[type, ...], name: str, public: Iterable[object]) -> list[str]:
    """Return the addresses of the classes and functions of a name that give one of some classes."""
    named = (each for each in _below(wanted) if each.__name__ == name and _is_reachable(each))
    given = (each for each in public if _gives(each, wanted))
    found = {str(_util.get_import_path(each)): each for each in itertools.chain(named, given)}
    # One that cannot be built is only found to say so.
    return [path for path, each in found.items() if not inspect.isabstract(each)] or list(found)


def bases(base: object) -> tuple[type, ...]:
    """Return the classes that a type hint, or one of several type hints, asks for; tensors are given as numbers."""
    hints = base if isinstance(base, tuple) else (base,)
    found = (each for hint in hints for each in _typehints.get_class_types(hint))
    return tuple(each for each in found if each is not Tensor)


def classes(wanted: Iterable[type]) -> Iterator[type]:
    """Yield the imported public classes that are one of some classes or below it, and can be built."""
    return (each for each in _below(wanted) if _is_reachable(each) and not inspect.isabstract(each))


def _below(wanted: Iterable[type]) -> Iterator[type]:
    for each in wanted:
        yield each
        # `type` itself lists its subclasses only when it is told of which class.
        yield from _below(type.__subclasses__(each))


def _is_reachable(each: type) -> bool:
    path = f"{each.__module__}.{each.__qualname__}"
    if "<locals>" in path or path.startswith(_VARIANTS):
        return False
    return "._" not in str(_util.get_import_path(each))


def _gives(value: object, wanted: tuple[type, ...]) -> bool:
    return builds(value, wanted) or (inspect.isclass(value) and issubclass(value, wanted))


def builds(value: object, wanted: tuple[type, ...]) -> bool:
    """Return True for a function that returns one of some classes."""
    if not inspect.isfunction(value) or not wanted:
        return False
    found: bool = _typehints.function_returns_subclass(value, wanted, logging.getLogger(__name__))
    return found


def _spellings(name: str) -> tuple[str, ...]:
    """Return the names by which something is found: its own and, of a learning-rate schedule, that of functions.

    Example:
        >>> _spellings("WarmupCosineLR")
        ('WarmupCosineLR', 'warmup_cosine')
    """
    words = re.findall("[A-Z][a-z]+", name.removesuffix("LR")) if name.endswith("LR") else []
    return (name, "_".join(words).lower()) if words else (name,)


def _last(address: str) -> str:
    return address.rpartition(".")[2]
