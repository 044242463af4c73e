"""The entry point of the command."""

import logging
import os
import sys
import warnings

from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.cli._sweep import sweep_command
from lightning_abkd.cli._sweep_training import check_point, train_point


def main() -> None:
    """Run `abkd fit|validate|test|predict --config FILE …`, or `abkd sweep …`.

    No example: it takes the command line of the process. From Python, use `AbkdCLI` or `sweep`.
    """
    # A user's own modules lie beside the configs they are named in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # Rooms that do not know Lightning log through Python's own logger, which shows only warnings.
    logging.getLogger("lightning_abkd").setLevel(logging.INFO)
    logging.getLogger("lightning_abkd").addHandler(logging.StreamHandler())
    # Python hides the deprecations of libraries, and nothing else tells of an old name in a config or a user's class.
    warnings.filterwarnings("once", message=r"[\w.]+ is now .*; the old name will be", category=DeprecationWarning)
    if sys.argv[1:2] != ["sweep"]:
        AbkdCLI()
        return
    arguments = sys.argv[2:]
    sys.argv = sys.argv[:1]
    with readable_errors():
        sweep_command(arguments, train_point, check_point)
