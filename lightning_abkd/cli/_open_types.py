"""Options whose type is open, such as the tokenizer of a data module: they take classes and dotted options like others.

jsonargparse would store `--data.tokenizer.path folder` as the pair of key and value, and take no short names. Where
an option is a text or a class, such as the trainer's strategy, it would store the name of a class as a text.
"""

import inspect
from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from types import UnionType
from typing import NoReturn, Union, get_args, get_origin

from jsonargparse import Namespace, _typehints, set_parsing_settings
from jsonargparse._util import NestedArg

from lightning_abkd.cli._namespaces import entries
from lightning_abkd.cli._short_names import bases

_adapt: Callable[..., object] = _typehints.adapt_typehints
_refuse: Callable[..., NoReturn] = _typehints.raise_union_unexpected_value


def take_classes(public: Mapping[str, object]) -> None:
    """Make jsonargparse take classes for options of any type.

    Args:
        public: What is found by its short name, by its address.
    """

    def adapt(value: object, hint: object, *arguments: object, **options: object) -> object:
        if _typehints.accepts_any_value(hint):
            value = _with_class(value, options.get("prev_val"), public)
        elif isinstance(value, str) and get_origin(hint) in (Union, UnionType) and str in get_args(hint):
            value = _class_or_text(value, hint)
        return _adapt(value, hint, *arguments, **options)

    def refuse(types: object, value: object, errors: list[Exception]) -> NoReturn:
        # The cause should be what went wrong in the class, not that the value is no null.
        _refuse(types, value, sorted(errors, key=lambda error: str(error).startswith("Expected a <class")))

    vars(_typehints)["adapt_typehints"] = adapt
    vars(_typehints)["raise_union_unexpected_value"] = refuse
    # Otherwise a class that cannot be built is handed on as the dict that names it.
    set_parsing_settings(validate_subclass_spec_in_any=True)


def _with_class(value: object, before: object, public: Mapping[str, object]) -> object:
    """Return the class that a value means: a dotted option of the class before, or a short name; else the value."""
    if isinstance(value, NestedArg):
        return _changed(value, before)
    if isinstance(value, dict | Namespace) and "class_path" in value:
        path = value["class_path"]
        return {**entries(value), "class_path": _address(path, public) or path}
    address = _address(value, public)
    return {"class_path": address} if address else value


def _class_or_text(value: str, hint: object) -> object:
    """Return the class that a text names, where it is one that the type asks for; else the text."""
    address: str = vars(_typehints)["resolve_class_path_by_name"](hint, value)
    if "." not in address:
        return value
    try:
        named = resolve_name(address)
    except (ImportError, AttributeError, ValueError):
        return value
    return {"class_path": address} if inspect.isclass(named) and issubclass(named, bases(hint)) else value


def _changed(option: NestedArg, before: object) -> dict[str, object]:
    """Return the class before with one argument changed.

    Raises:
        ValueError: If there is none, or its help is asked for.
    """
    if option.key == "help":
        raise ValueError("this option lists no classes; `abkd show NAME` shows the options of one.")
    if not isinstance(before, dict | Namespace) or "class_path" not in before:
        raise ValueError(f"Option {option.key!r} needs a class first; give its name or path.")
    given = entries(before)
    return given | {"init_args": {**entries(given.get("init_args")), option.key: option.val}}


def _address(name: object, public: Mapping[str, object]) -> str | None:
    """Return the address of a public class or function by its short name or address."""
    if not isinstance(name, str):
        return None
    return next((each for each, value in public.items() if _is(name, each) and callable(value)), None)


def _is(name: str, address: str) -> bool:
    return name in (address, address.rpartition(".")[2])
