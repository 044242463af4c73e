"""What an option that does not exist most likely means, and which one is missing.

Here: how jsonargparse words such reports. Not here: reports about a value, see `_report`.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches

from lightning_abkd.cli._catalogue import of_kind
from lightning_abkd.cli._sources import parameters

_UNKNOWN_WORDS = re.compile(r"unrecognized arguments: (?P<word>\S+)")
_UNKNOWN_KEY = re.compile(r"(?:Subcommand|Group) '(?P<group>[^']+)' does not accept option '(?P<key>[^']+)'")
_REQUIRED = re.compile(r"the following arguments are required: (?:\w+\.)?(?P<name>\w+)$")
_NO_VALUE = re.compile(r"argument (?P<option>\S+): expected one argument")
# What is often set on a module and belongs to an object that it is given.
BELOW = {
    **dict.fromkeys(("alpha", "beta", "reduction", "scale_by_temperature", "temperature"), "divergence"),
    **dict.fromkeys(("lr", "momentum", "weight_decay"), "optimizer"),
}
_SECTIONS = {"modules": "model", "data": "data"}


def suggestion(report: str, options: Sequence[str]) -> str | None:
    """Return a sentence for a report about an option that is unknown or missing, None for any other report.

    Args:
        report: What jsonargparse says.
        options: Every option of the command, such as trainer.max_epochs.
    """
    if found := _UNKNOWN_WORDS.search(report):
        return _unknown_word(found["word"], options)
    if found := _UNKNOWN_KEY.search(report):
        return _unknown_key(found["group"], found["key"], options)
    if found := _REQUIRED.match(report):
        name = found["name"]
        return f"Found no `{name}`. Give `--config FILE` or `--{name} CLASS`; `abkd configs` lists some to begin with."
    if found := _NO_VALUE.match(report):
        return f"Option `{found['option']}` needs a value."
    return None


def closest_option(key: str, options: Sequence[str]) -> str | None:
    """Return the option that a key most likely means: one of the same section, or one that ends with the same name."""
    known = [*options, *_options_of_classes()]
    if close := get_close_matches(key, known, 1, 0.8):
        return close[0]
    name = key.rpartition(".")[2]
    if name in BELOW:
        return f"model.{BELOW[name]}.{name}"
    ends = [each for each in known if each.rpartition(".")[2] == name]
    ends = ends or [each for each in known if each.rpartition(".")[2].endswith(f"_{name}")]
    return next(iter([*ends, *get_close_matches(key, known, 1)]), None)


def _unknown_word(word: str, options: Sequence[str]) -> str:
    option, equals, _ = word.partition("=")
    if not word.startswith("-"):
        hint = f" Did you mean `--{word}`?" if equals and "." in option else " Options begin with two dashes."
        return f"Found {word!r}, which belongs to no option.{hint}"
    key = option.strip("-")
    if key.endswith(".help"):
        above = key.removesuffix(".help").rpartition(".")[0]
        return f"Found no option `{option}`. Put `--{above} CLASS` of the class that has it before it."
    return f"Found no option `{option}`.{_meant(key, options, '--')}"


def _unknown_key(group: str, key: str, options: Sequence[str]) -> str:
    """Return the sentence for a key of a config: only its first part if that is unknown, too."""
    full = f"{group}.{key}" if group in {each.partition(".")[0] for each in options} else key
    first = full.partition(".")[0]
    sections = {each.partition(".")[0] for each in options}
    if first not in sections and "." in full:
        full = first
    if "." not in full and (close := get_close_matches(full, sections, 1)):
        return f"Found no key `{full}`. Did you mean `{close[0]}`?"
    return f"Found no key `{full}`.{_meant(full, options, '')}"


def _meant(key: str, options: Sequence[str], dashes: str) -> str:
    close = closest_option(key, options)
    return f" Did you mean `{dashes}{close}`?" if close else " `abkd fit --help` lists the options."


def _options_of_classes() -> list[str]:
    """Return the options of the package's modules and data modules, such as data.batch_size."""
    listed: dict[str, None] = {}
    for kind, section in _SECTIONS.items():
        for each in of_kind(kind):
            if each.name.endswith("Module"):
                listed |= {f"{section}.{name.partition(':')[0].strip('*')}": None for name in parameters(each)}
    return list(listed)
