"""Whether the files that `--config` names can be read, checked before anything is imported that takes time.

Here: what YAML and the form of a config ask for, with line and column. Not here: which options a class accepts.
"""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._shipped import shipped_configs, shipped_path
from lightning_abkd.cli._similar import did_you_mean_file

_NAMES = ("--config", "-c")
_SECTIONS = ("trainer", "model", "data")
_CLASS_KEYS = ("class_path", "init_args", "dict_kwargs")
# The options of the trainer that are most often put elsewhere.
_TRAINER_KEYS = ("accelerator", "callbacks", "devices", "logger", "max_epochs", "max_steps", "precision", "strategy")


def with_paths(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which each address such as `abkd:cifar100/base` is replaced by its file."""
    found = list(arguments)
    for place, value in _configs(arguments):
        option, equals, _ = found[place].partition("=")
        found[place] = f"{option}={shipped_path(value)}" if equals else shipped_path(value)
    return found


def check_configs(arguments: Sequence[str]) -> None:
    """Exit with a sentence if a config of a command line is not the text of a config."""
    for _, value in _configs(arguments):
        # Standard input, an address of another machine, or the text itself are left to jsonargparse.
        if value != "-" and not re.search(r"://|[\n{]|:\s", value):
            _check(value)


def class_in_configs(arguments: Sequence[str], keys: Sequence[str]) -> str | None:
    """Return the class that the last of the configs of a command line names at some keys, or None."""
    found = None
    for _, path in _configs(arguments):
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig")) if Path(path).is_file() else None
        for key in keys:
            value = _below(value, key)
        found = _class_path(value) or found
    return found


def _below(value: object, key: str) -> object:
    """Return what is at a key of a class or section."""
    if isinstance(value, list):
        value = value[-1] if value else None
    if not isinstance(value, dict):
        return None
    inside = value.get("init_args", value)
    return inside.get(key) if isinstance(inside, dict) else None


def _class_path(value: object) -> str | None:
    if isinstance(value, list):
        value = value[-1] if value else None
    path = value.get("class_path") if isinstance(value, dict) else value
    return path if isinstance(path, str) else None


def _configs(arguments: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the place and value of each config of a command line."""
    for place, word in enumerate(arguments):
        option, equals, value = word.partition("=")
        if option in _NAMES and equals:
            yield place, value
        elif place and arguments[place - 1] in _NAMES:
            yield place, word


def _check(path: str) -> None:
    root = _compose(path, _text(path))
    if root is None:
        fail(f"The config {path} is empty. `abkd configs quickstart/student` prints one to begin with.")
    if not isinstance(root, MappingNode):
        kind = "a list" if isinstance(root, SequenceNode) else "one value"
        fail(f"The config {path} should hold keys, such as `model:` and `data:`. Found {kind}.")
    for key, value in root.value:
        if key.value in _SECTIONS and isinstance(value, SequenceNode):
            fail(f"{_place(path, key)}: `{key.value}` should hold keys. Found a list; leave out the dashes.")
    _check_node(path, root)


def _text(path: str) -> str:
    """Read a config."""
    if not Path(path).exists():
        fail(f"Option `--config` should name a file. Found none at {path}. {_meant(path)}".rstrip())
    if Path(path).is_dir():
        inside = sorted(each.name for each in Path(path).glob("*.yaml"))
        hint = f" It holds {', '.join(inside[:5])}." if inside else ""
        fail(f"Option `--config` should name a file. Found a folder at {path}.{hint}")
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        fail(f"The config {path} should be text in UTF-8. Found byte 0x{error.object[error.start]:02x} in line {line}.")
    except OSError as error:
        fail(f"The config {path} cannot be read: {error.strerror}.")


def _meant(path: str) -> str:
    name = path.removesuffix(".yaml").removeprefix("configs/")
    if name in shipped_configs():
        return f"The package brings it as `--config abkd:{name}`."
    return did_you_mean_file(path, "*.y*ml")


def _compose(path: str, text: str) -> Node | None:
    """Parse YAML into nodes that know their lines, or exit with the place that is wrong."""
    try:
        root: Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
        yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        fail(f"{path}{where}: {_problem(error)}")
    except yaml.YAMLError as error:
        fail(f"{path}: {' '.join(str(error).split())}")
    return root


def _problem(error: yaml.MarkedYAMLError) -> str:
    if re.search(r"'\\t'|tab char", str(error.problem)):
        return "YAML is indented by spaces. Found a tab."
    context = f" {error.context}" if error.context else ""
    return f"this is no YAML: {error.problem}{context}."


def _check_node(path: str, node: Node) -> None:
    """Exit with an error for a key that is there twice, or beside `class_path` where it should be below it."""
    if isinstance(node, SequenceNode):
        for each in node.value:
            _check_node(path, each)
    if isinstance(node, MappingNode):
        _check_twice(path, node)
        _check_class(path, node)
        for _, value in node.value:
            _check_node(path, value)


def _check_twice(path: str, node: MappingNode) -> None:
    seen: dict[str, Node] = {}
    for key, _ in node.value:
        if not isinstance(key, ScalarNode) or key.value == "<<":
            continue
        first = seen.setdefault(key.value, key)
        if first is not key:
            line = first.start_mark.line + 1
            fail(f"{_place(path, key)}: the key `{key.value}` is there twice, first in line {line}.")


def _check_class(path: str, node: MappingNode) -> None:
    """Exit with an error if the keys beside `class_path` are none of a class."""
    keys = {key.value: key for key, _ in node.value if isinstance(key, ScalarNode)}
    for key, value in node.value:
        if key.value == "init_args" and isinstance(value, SequenceNode):
            fail(f"{_place(path, key)}: `init_args` should hold keys. Found a list; leave out the dashes.")
    if keys.keys().isdisjoint(_CLASS_KEYS[:2]):
        return
    given = "class_path" if "class_path" in keys else "init_args"
    for name, key in keys.items():
        if name not in _CLASS_KEYS:
            fail(f"{_place(path, key)}: `{name}` is beside `{given}`. {_right_place(name)}")


def _right_place(name: str) -> str:
    if close := get_close_matches(name, _CLASS_KEYS, 1):
        return f"Did you mean `{close[0]}`?"
    return "It belongs below `trainer`." if name in _TRAINER_KEYS else "Put it below `init_args`."


def _place(path: str, node: Node) -> str:
    return f"{path}, line {node.start_mark.line + 1}"
