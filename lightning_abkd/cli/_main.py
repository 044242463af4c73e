"""The entry point of the command: which of its commands is meant. Lightning is imported only for those that need it."""

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module

from lightning_abkd.cli._catalogue import list_command, show_command
from lightning_abkd.cli._config_files import check_configs, with_paths
from lightning_abkd.cli._errors import fail, readable_errors
from lightning_abkd.cli._exits import interrupts
from lightning_abkd.cli._shipped import configs_command

_RUN = ("fit", "validate", "test", "predict")
_ALSO_RUN = ("check", "sweep")
_OVERVIEW = """\
usage: abkd COMMAND [options]

Distil a frozen teacher into a student.

Run what a config describes:
  fit          Train, and validate after each epoch.
  validate     Measure a trained student on the validation data.
  test         Measure a trained student on the test data.
  predict      Predict with a trained student.
  sweep        Repeat a training over α, β and seeds.

Before it costs time:
  check        Run one real step, and say what is wrong with a config.

Look around:
  configs      List, print or copy the configs that come with the package.
  list KIND    List losses, networks, data, callbacks, schedules, …
  show NAME    Show the signature and documentation of a class or function.

Begin with:
  abkd configs quickstart/student > mine.yaml
  abkd fit --config mine.yaml --model.task_weight 0.5

`abkd COMMAND --help` explains a command; `abkd --version` shows the version.
"""
_MEANT = {
    "train": "fit",
    "eval": "validate",
    "evaluate": "validate",
    "infer": "predict",
    "doctor": "check",
    "help": "--help",
}


def main() -> None:
    """Run a command of `abkd`, such as `abkd fit --config FILE` or `abkd list losses`.

    No example: it takes the command line of the process. From Python, use `AbkdCLI` or `sweep`.
    """
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in _LOOK:
        _look(command, sys.argv[2:])
    elif command in (*_RUN, *_ALSO_RUN) or command.startswith("-"):
        with interrupts():
            _run(command)
    else:
        close = get_close_matches(command, [*_RUN, *_ALSO_RUN, *_LOOK, *_MEANT], 1)
        hint = f"Did you mean {_MEANT.get(close[0], close[0])}?" if close else "`abkd --help` lists them."
        fail(f"Found no command {command!r}. {hint}")


def _version(arguments: Sequence[str]) -> None:
    package = __name__.partition(".")[0]
    sys.stdout.write(f"{package} {import_module(package).__version__}\n")


def _overview(arguments: Sequence[str]) -> None:
    sys.stdout.write(_OVERVIEW)


_LOOK = {
    "-h": _overview,
    "--help": _overview,
    "--version": _version,
    "configs": configs_command,
    "list": list_command,
    "show": show_command,
}


def _look(command: str, arguments: Sequence[str]) -> None:
    """Run a command that reads only the package's own files."""
    try:
        _LOOK[command](arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # `abkd list losses | head` closes the pipe early; Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(command: str) -> None:
    """Run a command that needs Lightning, after what can be checked without it."""
    # A user's own modules lie beside the configs they are named in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # Rooms that do not know Lightning log through Python's own logger, which shows only warnings.
    logging.getLogger("lightning_abkd").setLevel(logging.INFO)
    logging.getLogger("lightning_abkd").addHandler(logging.StreamHandler())
    # Python hides the deprecations of libraries, and nothing else tells of an old name in a config or a user's class.
    warnings.filterwarnings("once", message=r"[\w.]+ is now .*; the old name will be", category=DeprecationWarning)
    # Lightning's own code, of which no user can do anything.
    warnings.filterwarnings("ignore", message=r".*LeafSpec.* is deprecated", category=FutureWarning)
    sys.argv[1:] = with_paths(sys.argv[1:])
    check_configs(sys.argv[1:])
    if command == "sweep":
        _sweep()
    elif command == "check":
        _check()
    else:
        from lightning_abkd.cli._app import AbkdCLI

        AbkdCLI()


def _check() -> None:
    from lightning_abkd.cli._check import check_command

    arguments = sys.argv[2:]
    sys.argv = sys.argv[:1]
    check_command(arguments)


def _sweep() -> None:
    from lightning_abkd.cli._sweep import sweep_command
    from lightning_abkd.cli._sweep_training import check_point, train_point

    arguments = sys.argv[2:]
    sys.argv = sys.argv[:1]
    with readable_errors():
        sweep_command(arguments, train_point, check_point)
