"""LightningCLI over distillation modules."""

from pathlib import Path
from typing import NoReturn

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lightning_abkd.cli._addresses import show_public_addresses
from lightning_abkd.cli._errors import fail, one_sentence, readable_errors


class Parser(LightningArgumentParser):
    """Says what is wrong in one sentence, without the usage of every option before it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        if not self.exit_on_error:
            super().error(message, ex)
        fail(one_sentence(str(message)))


class AbkdCLI(LightningCLI):
    """LightningCLI that takes any module and data module by class path and saves the config beside the logs.

    Args:
        args: Command line as a list; None takes the one of the process.

    Attributes trainer, model and datamodule are there after the run.
    """

    def __init__(self, args: ArgsType = None) -> None:
        show_public_addresses()
        super().__init__(
            LightningModule,
            subclass_mode_model=True,
            subclass_mode_data=True,
            save_config_kwargs={"overwrite": True},
            parser_class=Parser,
            parser_kwargs={
                "description": "Distil a frozen teacher into a student. `abkd sweep --help`: over α, β and seeds."
            },
            args=args,
        )

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint before anything is built; the networks are those of the configuration."""
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
        """Build trainer, module and data; what they refuse is said in one sentence."""
        with readable_errors():
            super().instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        with readable_errors():
            super()._run_subcommand(subcommand)

    def _best(self) -> None:
        """Find the best checkpoint of an earlier run, which Lightning knows only within the run itself."""
        config = self.config_init[self.config["subcommand"]]
        if config.get("ckpt_path") != "best":
            return
        callback = self.trainer.checkpoint_callback
        folder = callback.dirpath if isinstance(callback, ModelCheckpoint) else None
        last = None if folder is None else Path(folder, "last.ckpt")
        if last is None or not last.is_file():
            fail(
                "Option `--ckpt_path best` needs a ModelCheckpoint with `dirpath` and `save_last: true` that has run. "
                f"Found no {last or 'dirpath'}. Name the checkpoint's file instead."
            )
        states = torch.load(last, weights_only=True, map_location="meta", mmap=True)["callbacks"].values()
        paths = [state["best_model_path"] for state in states if state.get("best_model_path")]
        # The folder may have been moved since.
        config["ckpt_path"] = str(last.with_name(Path(paths[0]).name) if paths else last)

    before_validate = before_test = before_predict = _best
