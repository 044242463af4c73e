"""`--model.divergence.help DKD`: which classes lead to the option whose help is asked for, and help of functions.

Here: what a user may leave out. Not here: the layout of help.
"""

import inspect
import sys
from collections.abc import Iterator, Sequence
from pkgutil import resolve_name

from jsonargparse import ArgumentParser, _actions, _typehints

from lightning_abkd.cli._addresses import closest_address
from lightning_abkd.cli._candidates import candidates
from lightning_abkd.cli._config_files import class_in_configs
from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._help import indented

_HELP = ".help"
_DEFAULTS = {"model": "lightning_abkd.modules.DistillationModule"}
_HelpAction = _actions._ActionHelpClassPath
_print_help_of_class = _HelpAction.print_help


def with_classes(arguments: Sequence[str]) -> list[str]:
    """Return a command line that asks for the help of each class above the option whose help is asked for.

    jsonargparse finds the options of a class only below the help of the class that has it. The class is the one on the
    command line before, in the configs, or the module that is used most.
    """
    place = next((place for place, word in enumerate(arguments) if _option(word).endswith(_HELP)), None)
    if place is None:
        return list(arguments)
    option = _option(arguments[place])
    above = list(_above(option))
    asked = [word for key in above for word in _asked(key, arguments[:place])]
    if above and not asked:
        fail(f"Option `{option}` needs a class first: put `--{above[0]} CLASS` or `--config FILE` before it.")
    return [*arguments[:1], *asked, *arguments[place:]] if asked else list(arguments)


def _asked(key: str, arguments: Sequence[str]) -> list[str]:
    """Return the option that asks for the help of the class that was given for an option."""
    name = _class(key, arguments)
    return [f"--{key}{_HELP}", name] if name else []


def show_functions() -> None:
    """Make the help of an option show a function that builds what the option takes, such as `resnet20`."""
    type.__setattr__(_HelpAction, "print_help", _print_help)


def _print_help(action: _HelpAction, call: tuple[ArgumentParser, object, str | None, str]) -> None:
    parser, _, name, option = call
    if not name:
        _print_names(action, option)
        parser.exit()
    address = _typehints.resolve_class_path_by_name(action._help_types, name)
    if "." not in address:
        meant = closest_address(name)
        fail(f"{option}: found no class {name!r}." + (f" Did you mean {meant}?" if meant else ""))
    if not inspect.isfunction(resolve_name(address)):
        _print_help_of_class(action, call)
    shown = type(parser)(description=f"Help for {option}={address}")
    shown.add_function_arguments(resolve_name(address), option.removeprefix("--").removesuffix(_HELP))
    sys.stdout.write(shown.format_help())
    parser.exit()


def _print_names(action: _HelpAction, option: str) -> None:
    """Show which classes an option takes, as long as none is named."""
    sys.stdout.write(f"`{option} NAME` shows the options of one of these.\n\n")
    sys.stdout.write("\n".join(indented(candidates(action._typehint, most=100))) + "\n")


def _option(word: str) -> str:
    return word.partition("=")[0] if word.startswith("--") else ""


def _above(option: str) -> Iterator[str]:
    """Yield the options of which one is part: model of --model.divergence.help, none of --trainer.callbacks.help."""
    parts = option.removeprefix("--").removesuffix(_HELP).split(".")
    first = 2 if parts[0] == "trainer" else 1
    for depth in range(first, len(parts)):
        yield ".".join(parts[:depth])


def _class(key: str, arguments: Sequence[str]) -> str | None:
    """Return the class that was given for an option, on the command line or else in a config."""
    for place in range(len(arguments) - 1, -1, -1):
        word, equals, value = arguments[place].partition("=")
        if word in (f"--{key}", f"--{key}+", f"--{key}{_HELP}", f"--{key}.class_path"):
            return value if equals else next(iter(arguments[place + 1 :]), None)
    return class_in_configs(arguments, key.split(".")) or _DEFAULTS.get(key)
