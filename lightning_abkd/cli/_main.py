"""The entry point of the command."""

import logging
import os
import sys

from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.cli._point import train_point
from lightning_abkd.cli._sweep import sweep


def main() -> None:
    """Run `abkd fit|validate|test|predict --config FILE …`, or `abkd sweep …`."""
    # A user's own modules lie beside the configs they are named in.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    # What the floors that do not know Lightning have to say, as Lightning says its own.
    logging.getLogger("lightning_abkd").setLevel(logging.INFO)
    logging.getLogger("lightning_abkd").addHandler(logging.StreamHandler())
    if sys.argv[1:2] != ["sweep"]:
        AbkdCLI()
        return
    arguments, sys.argv = sys.argv[2:], sys.argv[:1]
    with readable_errors():
        sweep(arguments, train_point)
