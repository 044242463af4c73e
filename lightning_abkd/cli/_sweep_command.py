"""The command line of a sweep."""

import argparse
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, NoReturn

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._sweep_grid import SEED, Dimension, Grid

_OPENING = "([{"
_CLOSING = ")]}"
_NUMBERS = ("--alpha", "--beta", "--seeds")
# A sweep sets these itself.
_OWN = ("trainer.logger", "trainer.enable_checkpointing")


class Request(NamedTuple):
    """A command line of a sweep: the grid, and what holds for all its points."""

    grid: Grid
    configs: tuple[str, ...]
    options: tuple[str, ...]
    folder: str
    metric: str | None
    mode: str | None
    divergence: str


class _Parser(argparse.ArgumentParser):
    """Parser that reports an error in one sentence."""

    def error(self, message: str) -> NoReturn:
        fail(f"sweep: {message}")


def read_command(arguments: Sequence[str]) -> Request:
    """Read the command line after `abkd sweep`; the grid has no seeds where the command names none.

    Raises:
        ValueError: If the grid is empty, or an option is swept and set.
    """
    given, rest = _parser().parse_known_args(list(_separated(arguments)))
    dimensions = _dimensions(given)
    for option in _given_options(rest):
        _check_free(option, [dimension.option for dimension in dimensions])
    grid = Grid(tuple(dimension for dimension in dimensions if dimension.option != SEED), _seeds(dimensions, rest))
    if not dimensions:
        raise ValueError("A sweep should vary something. Found none of `--alpha`, `--beta`, `--over` and `--seeds`.")
    return Request(grid, tuple(given.config), tuple(rest), given.folder, given.metric, given.mode, given.divergence)


def split_values(text: str) -> list[str]:
    """Split at commas that are outside of brackets and quotes.

    Example:
        >>> split_values("[0.9, 0.95],[0.8, 0.99]")
        ['[0.9, 0.95]', '[0.8, 0.99]']
    """
    parts = [""]
    depth = 0
    quote = ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        depth += 0 if quote else (character in _OPENING) - (character in _CLOSING)
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="abkd sweep",
        description="Train once for each point of a grid and each seed; the same command resumes. Other options are "
        "those of fit and hold for every point.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="append", required=True, help="config of the training; may be repeated")
    parser.add_argument("--alpha", type=float, nargs="+", default=[], help="values of α, such as 0.2,0.5")
    parser.add_argument("--beta", type=float, nargs="+", default=[], help="values of β")
    parser.add_argument(
        "--over",
        action="append",
        default=[],
        metavar="OPTION=VALUE,VALUE",
        help="any option of fit and its values, such as model.divergence=JensenShannon,ReverseKL; may be repeated",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[], help="seeds of each point (that of the config)")
    parser.add_argument("--folder", default="runs/sweep", help="folder of the results (runs/sweep)")
    parser.add_argument("--metric", help="what the table and the picture show (val/accuracy, or else val/perplexity)")
    parser.add_argument("--mode", choices=["max", "min"], help="whether the best is the largest or the smallest")
    parser.add_argument(
        "--divergence",
        default="model.divergence",
        help="where α and β are (model.divergence); inside DKD, for one, model.divergence.divergence",
    )
    return parser


def _separated(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the arguments, numbers that are separated by commas one by one."""
    within = False
    for argument in arguments:
        name, _, values = argument.partition("=")
        if argument.startswith("--"):
            within = name in _NUMBERS
        if not within or argument in _NUMBERS:
            yield argument
            continue
        if argument.startswith("--"):
            yield name
        yield from (value for value in (values or argument).split(",") if value)


def _dimensions(given: argparse.Namespace) -> list[Dimension]:
    """Return every swept option with its values."""
    greek = {f"{given.divergence}.alpha": "α", f"{given.divergence}.beta": "β"}
    numbers = {**dict(zip(greek, (given.alpha, given.beta), strict=True)), SEED: given.seeds}
    pairs = [(option, [str(value) for value in values]) for option, values in numbers.items() if values]
    pairs += map(_swept, given.over)
    names = _names([option for option, _ in pairs])
    return [
        Dimension(option, greek.get(option, name), _once(map(_decimal, values) if option in greek else values))
        for (option, values), name in zip(pairs, names, strict=True)
    ]


def _names(options: Sequence[str]) -> list[str]:
    """Return short names of options, whole ones where the last parts are the same."""
    for option in options:
        if options.count(option) > 1:
            raise ValueError(f"A sweep should name every option once. Found {option!r} twice.")
    short = [option.rpartition(".")[2] for option in options]
    return [name if short.count(name) == 1 else option for option, name in zip(options, short, strict=True)]


def _decimal(text: str) -> str:
    """Write values of α and β alike, however they are given."""
    try:
        return str(float(text))
    except ValueError:
        raise ValueError(f"α and β should be numbers. Found {text!r}.") from None


def _seeds(dimensions: Sequence[Dimension], rest: Sequence[str]) -> tuple[int, ...]:
    """Return the seeds of every point: those that are swept, or else the one among the other options."""
    swept = [value for dimension in dimensions if dimension.option == SEED for value in dimension.values]
    own = _last_value(rest, SEED)
    texts = swept if own is None else [own]
    for text in texts:
        if not text.isdecimal():
            raise ValueError(f"A seed should be a whole number that is not negative. Found {text!r}.")
    return tuple(map(int, texts))


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _swept(text: str) -> tuple[str, list[str]]:
    """Read one `--over`."""
    option, equals, values = text.partition("=")
    found = split_values(values)
    if not equals or not option.strip("-") or not all(found):
        raise ValueError(f"Option `--over` should have the form OPTION=VALUE,VALUE. Found {text!r}.")
    return plain(option), found


def plain(option: str) -> str:
    """Return an option without its dashes and without `init_args`."""
    return re.sub(r"\.init_args\b|\.class_path$", "", option.lstrip("-"))


def _given_options(rest: Sequence[str]) -> list[str]:
    return [plain(argument.partition("=")[0]) for argument in rest if argument.startswith("--")]


def _last_value(rest: Sequence[str], option: str) -> str | None:
    """Return the value of an option in a command line, None where it is not given."""
    found = None
    for argument, following in itertools.zip_longest(rest, rest[1:]):
        name, equals, value = argument.partition("=")
        if name == f"--{option}":
            found = value if equals else following
    return found


def _check_free(option: str, swept: Sequence[str]) -> None:
    """Raise ValueError for an option that the sweep sets."""
    if option in swept:
        raise ValueError(f"An option should be swept or set. Found both for {option!r}.")
    if option in _OWN or option.startswith("trainer.logger."):
        raise ValueError(f"A sweep sets {option!r}: it logs every point below its folder. Leave it out.")
