"""LightningCLI over distillation modules."""

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

from lightning_abkd.cli._addresses import show_public_addresses
from lightning_abkd.cli._checkpoint import best_checkpoint, check_checkpoint
from lightning_abkd.cli._config_files import check_configs, with_paths
from lightning_abkd.cli._data_files import check_data_files
from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.cli._parser import Parser


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
            save_config_kwargs={"overwrite": True},
            parser_class=Parser,
            args=args,
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Parse a command with its options."""
        if isinstance(args, list):
            args = with_paths(args)
            check_configs(args)
        show_public_addresses()
        super().parse_arguments(parser, args)

    def _parse_ckpt_path(self) -> None:
        """Check the checkpoint before anything is built. The config defines the networks, not the checkpoint."""
        check_checkpoint(self.config.get(f"{self.config['subcommand']}.ckpt_path"))

    def instantiate_classes(self) -> None:
        """Build trainer, module and data; their errors are reported in one sentence."""
        with readable_errors():
            check_data_files(self.config, self.config["subcommand"])
            super().instantiate_classes()

    def _run_subcommand(self, subcommand: str) -> None:
        with readable_errors():
            super()._run_subcommand(subcommand)

    def _choose_checkpoint(self) -> None:
        """Replace `--ckpt_path best` by the file of an earlier run; Lightning finds it only within the run itself."""
        config = self.config_init[self.config["subcommand"]]
        if config.get("ckpt_path") == "best":
            config["ckpt_path"] = str(best_checkpoint(self.trainer))

    before_validate = before_test = before_predict = _choose_checkpoint
