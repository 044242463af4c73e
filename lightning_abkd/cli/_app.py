"""LightningCLI over distillation modules."""

import sys
from pathlib import Path
from typing import NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lightning_abkd.cli._addresses import show_public_addresses
from lightning_abkd.cli._displays import displays
from lightning_abkd.cli._errors import fail, readable_errors
from lightning_abkd.cli._report import one_sentence
from lightning_abkd.cli._saved_config import SavedConfig


class Parser(LightningArgumentParser):
    """Parser that reports an error in one sentence, without the usage of every option before it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        fail(one_sentence(str(message)))


class AbkdCLI(LightningCLI):
    """LightningCLI that takes any module and data module by class path, and saves the config beside the logs.

    Args:
        args: Command line as a list; None takes that of the process.

    Attributes:
        trainer: The trainer, after the run.
        model: The module.
        datamodule: The data module.

    Example: `AbkdCLI(["fit", "--config", "mine.yaml"]).trainer.callback_metrics` trains and returns the last value of
    every metric. It is not run as a test, because it takes a whole training.
    """

    def __init__(self, args: ArgsType = None) -> None:
        super().__init__(
            LightningModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_callback=SavedConfig,
            save_config_kwargs={"overwrite": True},
            parser_class=Parser,
            parser_kwargs={
                "description": "Distil a frozen teacher into a student. `abkd sweep --help` explains sweeps of α and β."
            },
            args=args,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse a command with its options, or show the list of commands, which needs no class of the library."""
        if (sys.argv[1:] if args is None else args) not in ([], ["-h"], ["--help"]):
            show_public_addresses()
        super().parse_arguments(parser, args)

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint before anything is built. The config defines the networks, not the checkpoint."""
        path = self.config.get(f"{self.config['subcommand']}.ckpt_path")
        if path in (None, "best", "last", "hpc", "registry"):
            return
        if not Path(path).is_file():
            fail(f"Option `--ckpt_path` should name a file, or be best or last. Found no file at {path}.")
        try:
            torch.load(path, weights_only=True, map_location="meta", mmap=True)
        except Exception as error:
            fail(f"The checkpoint {path} cannot be read ({type(error).__name__}). Choose another one or train again.")

    def instantiate_classes(self) -> None:
        """Build trainer, module and data; their errors are reported in one sentence."""
        with readable_errors():
            super().instantiate_classes()

    def _instantiate_trainer(self, config: dict[str, object], callbacks: list[Callback]) -> Trainer:
        return super()._instantiate_trainer(config, [*callbacks, *self.displays(config)])

    def displays(self, trainer: dict[str, object]) -> list[Callback]:
        """Return the callbacks that show the run on the screen."""
        return displays(trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        with readable_errors():
            super()._run_subcommand(subcommand)

    def _find_best_checkpoint(self) -> None:
        """Replace `--ckpt_path best` by the file of an earlier run; Lightning finds it only within the run itself."""
        config = self.config_init[self.config["subcommand"]]
        if config.get("ckpt_path") != "best":
            return
        last = self._last_checkpoint()
        if last is None or not last.is_file():
            fail(
                "Option `--ckpt_path best` needs a ModelCheckpoint with `dirpath` and `save_last: true` that has run. "
                f"Found no {last or 'dirpath'}. Name the checkpoint's file instead."
            )
        best = _recorded_best(last)
        # The folder may have been moved since.
        config["ckpt_path"] = str(last.with_name(Path(best).name) if best else last)

    def _last_checkpoint(self) -> Path | None:
        """Return the last state that a ModelCheckpoint wrote or would write, None without one or without its folder."""
        callback = self.trainer.checkpoint_callback
        folder = callback.dirpath if isinstance(callback, ModelCheckpoint) else None
        if folder is None:
            return None
        # A second run into the same folder writes last-v1.ckpt; `--ckpt_path last` means the newest, too.
        written = Path(folder).glob("last*.ckpt")
        return max(written, key=lambda path: path.stat().st_mtime_ns, default=Path(folder, "last.ckpt"))

    before_validate = before_test = before_predict = _find_best_checkpoint


def _recorded_best(last: Path) -> str | None:
    """Return the path of the best checkpoint that a ModelCheckpoint recorded in the last one."""
    states = torch.load(last, weights_only=True, map_location="meta", mmap=True)["callbacks"].values()
    return next((state["best_model_path"] for state in states if state.get("best_model_path")), None)
