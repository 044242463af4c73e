"""The command `abkd`: LightningCLI over distillation modules, and sweeps of its trainings.

Here: what a user types, and what they are told when it is wrong. Not here: anything that a script would import.
"""

from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._main import main

__all__ = ["AbkdCLI", "main"]
