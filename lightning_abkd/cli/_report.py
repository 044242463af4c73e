"""Shorten a report of jsonargparse, which lists everything that was tried, to one sentence that says what is wrong.

Here: everything that depends on how jsonargparse words its reports. The tests pin this wording.
"""

import difflib
import inspect
import re
from collections.abc import Callable
from pkgutil import resolve_name
from typing import NamedTuple

from lightning.pytorch import Trainer

from lightning_abkd.cli._addresses import closest_address
from lightning_abkd.cli._suggestions import BELOW

# A report is nested by indentation: below a key stand the classes that were tried, below a class its keys.
_KEY = re.compile(r'Parser key "(?P<name>[^"]+)"(?: element \d+)?:\s*')
_CLASS = re.compile(r"Problem with given class_path '(?P<name>[^']+)':")
# For a callable, one line says what is wrong; it ends with the given value.
_CALLABLE = re.compile(
    r"Type .+ expects a function or a callable class: (?P<cause>.+)"
    r"\. Got value: (?:Namespace\(class_path=')?(?P<name>[\w.]+)"
)
_CALLABLE_WITHOUT_VALUE = re.compile(r"Type .+ expects a function or a callable class: (?P<cause>[^']+)$")
# A report about an argument of something that is called, on the line of what calls it.
_WRAPPED = re.compile(
    r"(?:Type .+ expects a function or a callable class|Invalid subclass spec given as value for type \w+): "
    r"(?=Parser key )"
)
_UNTYPED = "given as value for type Untyped"
_SHORT_NAME = re.compile(r"Expected a dot import path string: (?P<name>\S+)")
_NOWHERE = re.compile(r"No module named 'lightning_abkd\..*'|module 'lightning_abkd\b.*' has no attribute '.*'")
_UNKNOWN_OPTION = re.compile(r"Option '(?P<name>[\w.+]+)' is not accepted")
_UNKNOWN_WORDS = re.compile(r"unrecognized arguments: --(?P<name>[\w.]+)\S*")
_GIVEN = re.compile(r"Given value: (?P<value>.*?)(?:\. Got value: .*)?$")
_NUMBERS = ("Expected a <class 'float'>", "Expected a <class 'int'>")
# Classes that stand for the one that a config should have named.
_BASES = ("LightningModule", "LightningDataModule", "Module", "DistillationLoss", "Callback", "Schedule")
_TRAINER = inspect.signature(Trainer.__init__).parameters
_DOTTED = re.compile(r"Got value: NestedArg\(key='(?P<key>[^']+)'")
_WITHOUT_CLASS = re.compile(r"Not a valid subclass of (?P<base>\w+)\. Got value: \{'(?P<key>\w+)'")
_TYPE = "Expected a "
# A value that fits none of several types has one of these per type.
_MISFITS = (_TYPE, "Not a valid subclass of ", "Import path does not correspond to a subclass of ")
# Lines that say nothing more.
_REPETITIONS = (
    "Does not validate against any of the Union subtypes",
    "Subtypes: ",
    "Errors:",
    "Expected a path but ",
    "Expected a <class 'NoneType'>",
    "Subclass types expect one of:",
    "a class path (str)",
    "a dict with",
    "Given value",
)


class _Cause(NamedTuple):
    """A line that says what is wrong, the keys that lead there, and the class that was tried there, if any."""

    text: str
    line: int
    keys: tuple[str, ...]
    class_path: str | None

    @property
    def is_misfit(self) -> bool:
        """True if the cause only says that the value does not fit one type; other causes may say more."""
        return self.text.startswith(_MISFITS) and not _SHORT_NAME.match(self.text)


class _Header(NamedTuple):
    """A line of a report under which others are indented."""

    indent: int
    key: str | None = None
    class_path: str | None = None


def one_sentence(report: str) -> str:
    """Return one sentence that says which key of which class is wrong and why.

    Example:
        >>> one_sentence('Parser key "config": File does not exist: mine.yaml')
        'config: File does not exist: mine.yaml'
    """
    lines = report.splitlines()
    causes = _without_names(_causes(lines))
    if not causes:
        return " ".join(report.split())
    # The first that says more than that a type does not fit, or else the first.
    cause = min(causes, key=lambda cause: cause.is_misfit)
    place = ".".join(cause.keys)
    if missing := _missing_class(cause):
        return f"{place}: {missing}"
    if cause.class_path:
        place = f"{place} ({cause.class_path})"
    text = _misfit(cause, causes, lines) if cause.is_misfit else cause.text + _accepted(cause)
    # Arguments of a class that is given for an option without a type are read without theirs, too.
    hint = ". Annotate the option in its class, such as `student: torch.nn.Module`" if _UNTYPED in report else ""
    return f"{place}: {text}{hint}" if place else text


def _causes(lines: list[str]) -> list[_Cause]:
    """Return the lines that are neither headers nor repetitions, each with the headers above it."""
    causes = []
    headers: list[_Header] = []
    for number, line in enumerate(lines):
        text = line.lstrip(" -")
        if not text:
            continue
        indent = len(line) - len(text)
        text = _WRAPPED.sub("", text, 1)
        headers = [header for header in headers if header.indent < indent]
        if tried := _CLASS.match(text):
            headers.append(_Header(indent, class_path=tried["name"]))
            continue
        if key := _KEY.match(text):
            headers.append(_Header(indent, key=key["name"]))
            # The cause may stand on the line of its key.
            text = text[key.end() :]
        if text and not text.startswith(_REPETITIONS):
            causes.append(_cause(text, number, headers))
    return causes


def _without_names(causes: list[_Cause]) -> list[_Cause]:
    """Drop, where a number is asked for, that text is no short name of a class: a tensor would do, too."""
    numbers = [cause.keys for cause in causes if cause.text.startswith(_NUMBERS)]
    return [cause for cause in causes if cause.keys not in numbers or not _SHORT_NAME.match(cause.text)]


def _cause(text: str, line: int, headers: list[_Header]) -> _Cause:
    keys = tuple(header.key for header in headers if header.key)
    classes = [header.class_path for header in headers if header.class_path]
    if in_callable := _CALLABLE.match(text):
        text = in_callable["cause"]
        classes.append(in_callable["name"])
    elif in_callable := _CALLABLE_WITHOUT_VALUE.match(text):
        text = in_callable["cause"]
    elif unknown := _UNKNOWN_WORDS.match(text):
        text = f"Option {unknown['name']!r} is not accepted"
    if inside := _UNKNOWN_OPTION.match(text):
        # Of a class under an unknown key, jsonargparse names an argument.
        text = f"Option {inside['name'].partition('.')[0]!r} is not accepted{text[inside.end() :]}"
    return _Cause(text, line, keys, classes[-1] if classes else None)


def _missing_class(cause: _Cause) -> str | None:
    """Return the sentence for a class of this package, or a short name, that does not exist; None for other causes."""
    if name := _SHORT_NAME.match(cause.text):
        found_none = f"Found no class {name['name']!r}; give its path, such as package.module.Class."
        meant = closest_address(name["name"])
        if meant and meant.endswith(f".{name['name']}"):
            return f"{meant} does not fit here; `--{'.'.join(cause.keys)}.help` lists what does."
    elif cause.class_path and _NOWHERE.match(cause.text):
        found_none = f"Found no class {cause.class_path!r}."
        meant = closest_address(cause.class_path)
    else:
        return None
    return f"{found_none} Did you mean {meant}?" if meant else found_none


def _misfit(cause: _Cause, causes: list[_Cause], lines: list[str]) -> str:
    """Return the sentence for a value that fits none of the types: all of them, and the value."""
    wanted = [other.text for other in causes if other.keys == cause.keys and other.class_path == cause.class_path]
    if found := _WITHOUT_CLASS.match(wanted[0]):
        return f"should name a {found['base']} by `class_path`. Found `{found['key']}`."
    if dotted := _DOTTED.search(wanted[0]):
        return f"takes a value and has no option {dotted['key']!r} of its own."
    text = " or ".join([wanted[0], *(other.removeprefix(_TYPE) for other in wanted[1:])])
    value = _given(lines[cause.line :])
    return text if value is None or "Got value: " in text else f"{text}. Got value: {value}"


def _given(lines: list[str]) -> str | None:
    """Return the value that a report says was given, the first of them."""
    given = (_GIVEN.match(line.strip()) for line in lines)
    return next((found["value"] for found in given if found), None)


def _accepted(cause: _Cause) -> str:
    """Return which options a class accepts, to append to an unknown option; empty for other causes."""
    unknown = _UNKNOWN_OPTION.match(cause.text)
    if not unknown or not cause.class_path or "." not in cause.class_path:
        return ""
    if cause.class_path.rpartition(".")[2] in _BASES:
        return f"; the config names no class for `{'.'.join(cause.keys)}`. Add its `class_path`."
    accepted = _parameters(resolve_name(cause.class_path))
    if (owner := BELOW.get(unknown["name"])) in accepted:
        return f". Did you mean `{'.'.join(cause.keys)}.{owner}.{unknown['name']}`?"
    if close := difflib.get_close_matches(unknown["name"], accepted, 1):
        return f". Did you mean {close[0]!r}?"
    if unknown["name"] in _TRAINER:
        return f". It belongs to the trainer, as `trainer.{unknown['name']}`."
    is_callback = cause.keys[-1:] == ("trainer.callbacks",)
    last = " Options with a dot go to the last callback of the list." if is_callback else ""
    return f". It accepts {', '.join(accepted) or 'no options'}.{last}"


def _parameters(target: Callable[..., object]) -> list[str]:
    """Return the parameters of a class or function; `**options` stands for the parameters of the base class."""
    names: dict[str, None] = {}
    for part in target.__mro__[:-1] if isinstance(target, type) else [target]:
        parameters = inspect.signature(part).parameters.values()
        names |= {x.name: None for x in parameters if x.kind not in (x.VAR_POSITIONAL, x.VAR_KEYWORD)}
        if not any(x.kind is x.VAR_KEYWORD for x in parameters):
            break
    return list(names)
