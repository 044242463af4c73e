"""The config that a run saves beside its logs."""

from pathlib import Path

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback


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
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        if (folder / self.config_filename).resolve() in self._given():
            name = Path(self.config_filename)
            self.config_filename = f"{name.stem}.saved{name.suffix}"
        if (folder / self.config_filename).is_symlink():
            # What it leads to is another run's, or nobody's of ours.
            (folder / self.config_filename).unlink()
        super().setup(trainer, pl_module, stage)
        self.path = folder / self.config_filename

    def _given(self) -> set[Path]:
        """Return the files of the command's `--config` options."""
        files = self.config.get("config") or []
        return {Path(str(getattr(file, "absolute", file))).resolve() for file in files}
