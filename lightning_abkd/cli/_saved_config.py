"""The config that a run saves beside its logs."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from lightning_abkd._utils import write_whole


class SavedConfig(SaveConfigCallback):
    """Saves the config of a run beside its logs, never over a file that the command was given.

    Attributes:
        path: The saved file; None before a run.
    """

    path: Path | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Save the config, once in a run."""
        if self.already_saved:
            return
        # Reading it sends a message to all ranks.
        log_dir = trainer.log_dir
        folder = Path(log_dir or trainer.default_root_dir)
        if (folder / self.config_filename).resolve() in self._given():
            name = Path(self.config_filename)
            self.config_filename = f"{name.stem}.saved{name.suffix}"
        self.path = folder / self.config_filename
        if not trainer.is_global_zero or "://" in str(log_dir):
            super().setup(trainer, pl_module, stage)
            return
        # A full disk leaves the config of the run before.
        with write_whole(self.path) as part:
            self.config_filename = part.name
            super().setup(trainer, pl_module, stage)
        self.config_filename = self.path.name

    def _given(self) -> set[Path]:
        """Return the files of the command's `--config` options."""
        files = self.config.get("config") or []
        return {Path(str(getattr(file, "absolute", file))).resolve() for file in files}
