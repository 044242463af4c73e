"""The command `abkd`: LightningCLI over distillation modules, and sweeps of its trainings.

Here: what a user types, what they are told when it is wrong, and the same commands from Python.
Not here: anything that a training needs.
"""

from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._main import main
from lightning_abkd.cli._sweep import sweep

__all__ = ["AbkdCLI", "main", "sweep"]
