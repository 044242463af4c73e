"""LightningCLI over distillation modules."""

import sys

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lightning_abkd.cli._addresses import show_public_addresses
from lightning_abkd.cli._checkpoint import best_checkpoint, check_checkpoint, requeued_checkpoint, untrained
from lightning_abkd.cli._config_files import check_configs, with_paths
from lightning_abkd.cli._detection import HELP, detecting
from lightning_abkd.cli._displays import displays
from lightning_abkd.cli._errors import readable_errors, warn
from lightning_abkd.cli._exits import interrupts
from lightning_abkd.cli._first_checks import check_first
from lightning_abkd.cli._help_request import show_functions, with_classes
from lightning_abkd.cli._parser import Parser
from lightning_abkd.cli._predictions import write_predictions
from lightning_abkd.cli._saved_config import SavedConfig
from lightning_abkd.training import (
    callbacks_of,
    register_strategies,
    signal_checkpoints,
    write_checkpoints_whole,
)


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
            parser_kwargs={"allow_abbrev": False},
            args=args,
        )

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: object) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        # Every command takes it, because a config that a fit has saved is one for all of them.
        parser.add_argument("--detect", action="store_true", help=HELP)
        if isinstance(parser, Parser):
            parser.show_as(subcommand)
        return parser

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse a command with its options."""
        if isinstance(args, list):
            args = with_paths(args)
            check_configs(args)
            args = with_classes(args)
        elif args is None:
            sys.argv[1:] = with_classes(sys.argv[1:])
        show_public_addresses()
        show_functions()
        super().parse_arguments(parser, args)

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint before anything is built. The config defines the networks, not the checkpoint."""
        given = self.config[self.config["subcommand"]]
        check_checkpoint(given.get("ckpt_path"), given.get("weights_only"))

    def instantiate_classes(self) -> None:
        """Build trainer, module and data; their errors are reported in one sentence."""
        with readable_errors():
            check_first(self.config[self.config["subcommand"]], self.config["subcommand"])
            super().instantiate_classes()

    def _instantiate_trainer(self, config: dict[str, object], callbacks: list[Callback]) -> Trainer:
        register_strategies()
        if self.config[self.config["subcommand"]].get("detect"):
            callbacks = detecting(config, callbacks)
        trainer = super()._instantiate_trainer(config, [*callbacks, *self.displays(config)])
        write_checkpoints_whole(trainer)
        # Given to the trainer itself, it would stand in the place of Lightning's own ModelCheckpoint.
        callbacks_of(trainer).extend(signal_checkpoints(trainer))
        return trainer

    def displays(self, trainer: dict[str, object]) -> list[Callback]:
        """Return the callbacks that show the run on the screen."""
        return displays(trainer)

    def _run_subcommand(self, subcommand: str) -> None:
        with interrupts(), readable_errors():
            super()._run_subcommand(subcommand)

    def before_fit(self) -> None:
        """Replace `--ckpt_path best` by the file of an earlier run; Lightning finds it only within the run itself.

        A job that SLURM requeued may have left its last state in a file that Lightning does not take for the last.
        """
        config = self.config_init[self.config["subcommand"]]
        if config.get("ckpt_path") == "best":
            config["ckpt_path"] = str(best_checkpoint(self.trainer))
        if config.get("ckpt_path") == "last" and (newer := requeued_checkpoint(self.trainer)) is not None:
            config["ckpt_path"] = str(newer)

    def _choose_checkpoint(self) -> None:
        """Choose the checkpoint whose student is measured, and say it if there is none."""
        self.before_fit()
        command = self.config["subcommand"]
        is_named = self.config_init[command].get("ckpt_path") is not None
        if not is_named and (warning := untrained(self.config[command], self.trainer)):
            warn(warning)

    before_validate = before_test = _choose_checkpoint

    def before_predict(self) -> None:
        """Choose the checkpoint, and let predictions of images be written."""
        self._choose_checkpoint()
        write_predictions(self.trainer, self.model, self.datamodule)
