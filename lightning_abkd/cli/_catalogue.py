"""The commands `abkd list` and `abkd show`, which import neither torch nor Lightning for what the package defines."""

import argparse
import ast
import inspect
import shutil
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pkgutil import resolve_name
from textwrap import shorten

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._similar import did_you_mean
from lightning_abkd.cli._sources import Definition, definitions, descends, parameters

_ROOMS = ("modules", "data", "models", "callbacks", "losses", "metrics", "schedules", "functional", "diagnostics")
_COLUMNS = 80
_NETWORK = ("nn.Module", "Module")
# Where a class of each kind goes, and what else is taken there.
_KINDS = {
    "losses": "for --model.divergence",
    "networks": "for --model.student and --model.teacher",
    "data": "for --data, and what prepares it",
    "callbacks": "for --trainer.callbacks+; Lightning's own are found by name, too",
    "schedules": "for what a callback moves, such as --trainer.callbacks.alpha",
    "modules": "for --model",
    "metrics": "for the `metrics` of a module in Python",
}


def list_command(arguments: Sequence[str]) -> None:
    """Run `abkd list KIND`: one line for each class or function of a kind."""
    parser = argparse.ArgumentParser(
        prog="abkd list",
        description="List what the package brings of a kind, one line each.",
        epilog="`abkd show NAME` shows one of them.",
    )
    parser.add_argument("kind", nargs="?", help=", ".join(_KINDS))
    kind = parser.parse_args(arguments).kind
    if kind is None:
        sys.stdout.write("".join(f"abkd list {each:11}{place}\n" for each, place in _KINDS.items()))
        return
    if kind not in _KINDS:
        hint = did_you_mean(kind, _KINDS, f"Kinds: {', '.join(_KINDS)}.")
        fail(f"Found no kind {kind!r}. {hint}")
    sys.stdout.write("\n".join(_lines(of_kind(kind))) + "\n")


def show_command(arguments: Sequence[str]) -> None:
    """Run `abkd show NAME`: the address, signature and docstring of a class or function."""
    parser = argparse.ArgumentParser(
        prog="abkd show", description="Show the signature and the documentation of a class or function."
    )
    parser.add_argument("name", help="short name such as DKD or resnet20, or the path of any class")
    name = parser.parse_args(arguments).name
    found = _find(name)
    sys.stdout.write(_shown(found) if found else _imported(name))


def of_kind(kind: str) -> list[Definition]:
    """Return what the package brings of a kind that `abkd list` knows."""
    if kind == "networks":
        return [each for each in definitions("models") if _is_network(each)]
    if kind == "losses":
        return [each for each in definitions("losses") if descends(each, "DistillationLoss")]
    return definitions(kind)


def _is_network(each: Definition) -> bool:
    """Return True for a function that returns a network, and for a class that is defined beside such functions."""
    if isinstance(each.node, ast.FunctionDef):
        return each.node.returns is not None and ast.unparse(each.node.returns) in _NETWORK
    return ".models." in each.module


def _lines(found: Sequence[Definition]) -> Iterator[str]:
    columns = shutil.get_terminal_size((_COLUMNS, 24)).columns
    width = max(len(each.name) for each in found)
    for each in found:
        summary = shorten(each.summary, max(columns - width - 2, 20), placeholder=" …")
        yield f"{each.name:{width}}  {summary}"


def _find(name: str) -> Definition | None:
    """Return the definition of a short name, or of a path with or without the package's name, or None."""
    for room in _ROOMS:
        for each in definitions(room):
            if f".{each.address}".endswith(f".{name}"):
                return each
    return None


def _shown(found: Definition) -> str:
    """Lay out a definition of the package."""
    listed = parameters(found)
    line = f"{found.name}({', '.join(listed)})"
    if len(line) > _COLUMNS:
        line = f"{found.name}(\n" + "".join(f"    {each},\n" for each in listed) + ")"
    return f"{found.address}\n\n{line}\n\n{found.text}\n"


def _imported(name: str) -> str:
    """Lay out a class or function of another package by its path, or exit with an error."""
    if "." not in name:
        known = {each.name.lower(): each.name for room in _ROOMS for each in definitions(room)}
        close = get_close_matches(name.lower(), known, 1)
        hint = f"Did you mean {known[close[0]]}?" if close else "Give the path of a class of another package."
        fail(f"Found no class or function {name!r} in lightning_abkd. {hint}")
    try:
        found = resolve_name(name)
    except (ImportError, AttributeError, ValueError) as error:
        fail(f"Found no {name}: {error}.")
    if not callable(found):
        fail(f"{name} is neither a class nor a function.")
    return f"{name}{inspect.signature(found)}\n\n{inspect.getdoc(found) or 'No documentation.'}\n"
