"""What a configuration, or a checkpoint that holds one, may call: what says that it returns what an argument takes.

jsonargparse checks this for arguments that are objects of a class. For those that are functions, such as the optimizer,
and for those of any type, such as a tokenizer, it calls whatever a class path names, before anybody sees what comes
back. Python's own library is full of what has effects, so an argument of any type takes only its plain values, and of
other functions those that say that they return an object of a class: not torch.save, which writes a file, nor
torch.load, which may run one.
"""

import inspect
import os
import sys
from argparse import ArgumentError
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import get_origin, get_type_hints

from jsonargparse import Namespace, _typehints
from jsonargparse._util import import_object

# Modules of Python's own library whose classes are plain values.
_PLAIN = ("collections", "datetime", "decimal", "fractions", "pathlib")
_PARTIAL: Callable[[object, Namespace], tuple[Namespace, object]] = _typehints.adapt_partial_callable_class
_ADAPT: Callable[..., object] = _typehints.adapt_class_type
# What a function returns that was called for what it does: a path, a text, a status.
_MERE_VALUES = (str, bytes, int, float, complex, os.PathLike, dict, list, tuple, set, frozenset)


def refuse_other_calls() -> None:
    """Make jsonargparse refuse, when it parses, a call of what does not say that it returns what is asked for."""

    def adapt_partial_callable_class(callable_type: object, spec: Namespace) -> tuple[Namespace, object]:
        result, skipped = _PARTIAL(callable_type, spec)
        if skipped is None:
            _check_gives_function(result["class_path"])
        return result, skipped

    def adapt_class_type(value: object, *options: object, **named: object) -> object:
        if named.get("typehint") is None and "partial_skip_args" not in named:
            path = _typehints.subclass_spec_as_namespace(value)["class_path"]
            _check_not_standard(path)
            _check_gives_object(path)
        _ask_nobody()
        return _ADAPT(value, *options, **named)

    vars(_typehints)["adapt_partial_callable_class"] = adapt_partial_callable_class
    vars(_typehints)["adapt_class_type"] = adapt_class_type


@contextmanager
def other_calls_refused() -> Iterator[None]:
    """Refuse other calls as long as the block runs: while a checkpoint builds the objects that it describes.

    Raises:
        ValueError: If it describes something that cannot be built.
    """
    before = {name: vars(_typehints)[name] for name in ("adapt_partial_callable_class", "adapt_class_type")}
    refuse_other_calls()
    try:
        yield
    except ArgumentError as error:
        found = " ".join(str(error).partition("Got value:")[0].split()).rstrip(".")
        raise ValueError(
            f"The checkpoint should describe objects that can be built. Found {found}. "
            "Pass the objects themselves as arguments, or take a checkpoint whose source you trust."
        ) from None
    finally:
        vars(_typehints).update(before)


def _ask_nobody() -> None:
    """Let transformers refuse code in a folder of a model where it would ask at the terminal whether to run it."""
    loading = sys.modules.get("transformers.dynamic_module_utils")
    if loading is not None:
        vars(loading)["TIME_OUT_REMOTE_CODE"] = 0


def _check_gives_function(path: str) -> None:
    """Raise ImportError if a path names a function that does not say that it returns another one."""
    value = _imported(path)
    if value is None or inspect.isclass(value):
        return
    returned = _returned(value)
    is_function = get_origin(returned) is Callable
    if not is_function and not (inspect.isclass(returned) and _typehints.callable_instances(returned)):
        raise ImportError(
            f"'{path}' would be called, and does not say that it returns a function of the type that is asked for. "
            "Name a class, or annotate what the function returns"
        )


def _check_not_standard(path: str) -> None:
    """Raise ImportError if a path names something of Python's own library that is no plain value."""
    value = _imported(path)
    module = str(getattr(value, "__module__", None) or "").partition(".")[0]
    if module in sys.stdlib_module_names and not (inspect.isclass(value) and module in _PLAIN):
        raise ImportError(
            f"'{path}' of Python's own library would be called, which gives nothing that is asked for. "
            "Give a plain value, or the path of a class that is meant for this argument"
        )


def _check_gives_object(path: str) -> None:
    """Raise ImportError if a path names a function that does not say that it returns an object of a class."""
    value = _imported(path)
    # A class method builds an object of its class, such as `from_pretrained`.
    builds = value is None or inspect.isclass(value) or inspect.isclass(getattr(value, "__self__", None))
    if not builds and not _is_class(_returned(value)):
        raise ImportError(
            f"'{path}' would be called, and does not say that it returns an object. Name a class, or annotate what the "
            "function returns"
        )


def _is_class(hint: object) -> bool:
    """Return True for a class, or for its name where it is not imported."""
    if isinstance(hint, str):
        mere = {each.__name__ for each in _MERE_VALUES}
        return hint.replace(".", "").isidentifier() and hint not in {"None", "Any", "object", *mere}
    if not inspect.isclass(hint) or _typehints.accepts_any_value(hint) or hint is type(None):
        return False
    return not issubclass(hint, _MERE_VALUES)


def _imported(path: str) -> object:
    """Return what a path names, or None for what jsonargparse itself will not find."""
    try:
        value: object = import_object(path)
    except (ImportError, AttributeError, ValueError):
        return None
    return value


def _returned(function: object) -> object:
    """Return the annotation of what a function returns, or None."""
    try:
        hints = get_type_hints(function) if callable(function) else {}
    except (TypeError, NameError):
        hints = getattr(function, "__annotations__", {})
    return hints.get("return")
