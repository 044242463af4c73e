"""The entry point of the command: which of its commands is meant. Lightning is imported only for those that need it."""

import difflib
import logging
import os
import sys
import warnings

from lightning_abkd.cli._errors import fail, readable_errors

TRAINER_COMMANDS = ("fit", "validate", "test", "predict")
_OVERVIEW = """\
usage: abkd COMMAND [options]

Distil a frozen teacher into a student.

Run what a config describes:
  fit          Train, and validate after each epoch.
  validate     Measure a trained student on the validation data.
  test         Measure a trained student on the test data.
  predict      Predict with a trained student.
  sweep        Repeat a training over α, β and seeds.

`abkd COMMAND --help` explains the options of a command.
"""
_MEANT = {"train": "fit", "eval": "validate", "evaluate": "validate", "infer": "predict", "grid": "sweep"}


def main() -> None:
    """Run `abkd fit|validate|test|predict --config FILE …`, or `abkd sweep …`.

    No example: it takes the command line of the process. From Python, use `AbkdCLI` or `sweep`.
    """
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("-h", "--help", "help"):
        sys.stdout.write(_OVERVIEW)
    elif command == "sweep":
        _prepare()
        _sweep()
    elif command in TRAINER_COMMANDS or command.startswith("-"):
        _prepare()
        _train()
    else:
        _refuse(command)


def _prepare() -> None:
    """Let configs name a user's own modules, and show what the package and an old name in a config say."""
    # A user's own modules lie beside the configs they are named in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # Rooms that do not know Lightning log through Python's own logger, which shows only warnings.
    logging.getLogger("lightning_abkd").setLevel(logging.INFO)
    logging.getLogger("lightning_abkd").addHandler(logging.StreamHandler())
    # Python hides the deprecations of libraries, and nothing else tells of an old name in a config or a user's class.
    warnings.filterwarnings("once", message=r"[\w.]+ is now .*; the old name will be", category=DeprecationWarning)


def _train() -> None:
    from lightning_abkd.cli._app import AbkdCLI

    AbkdCLI()


def _sweep() -> None:
    from lightning_abkd.cli._sweep import sweep
    from lightning_abkd.cli._sweep_training import train_point

    arguments = sys.argv[2:]
    sys.argv = sys.argv[:1]
    with readable_errors():
        sweep(arguments, train_point)


def _refuse(command: str) -> None:
    known = (*TRAINER_COMMANDS, "sweep")
    meant = _MEANT.get(command) or next(iter(difflib.get_close_matches(command, known, 1)), None)
    hint = f"Did you mean {meant}?" if meant else "`abkd --help` lists the commands."
    fail(f"Found no command {command!r}. {hint}")
