"""The command `abkd`: LightningCLI over distillation modules, and sweeps of its trainings.

Here: what a user types, what they are told when it is wrong, and the same commands from Python.
Not here: anything that a training needs.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.cli._app import AbkdCLI as AbkdCLI
    from lightning_abkd.cli._main import main as main
    from lightning_abkd.cli._sweep import sweep as sweep
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.cli._app": ["AbkdCLI"],
            "lightning_abkd.cli._main": ["main"],
            "lightning_abkd.cli._sweep": ["sweep"],
        },
    )
