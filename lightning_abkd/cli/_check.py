"""The command `abkd check`: what the doctor says of a config."""

import os
import sys
import tempfile
from collections.abc import Sequence
from pkgutil import resolve_name

from jsonargparse import Namespace
from lightning.pytorch import Callback, LightningDataModule
from lightning.pytorch.callbacks import BaseFinetuning, GradientAccumulationScheduler, Timer
from lightning.pytorch.cli import LightningArgumentParser

from lightning_abkd.callbacks import HyperparameterScheduler
from lightning_abkd.cli._app import AbkdCLI
from lightning_abkd.cli._check_table import write_table
from lightning_abkd.cli._errors import message_of, raised_errors
from lightning_abkd.cli._namespaces import entries
from lightning_abkd.cli._parser import Parser
from lightning_abkd.cli._sweep_progress import quiet_trainings
from lightning_abkd.diagnostics import Finding
from lightning_abkd.diagnostics.doctor import examined, from_error

_DESCRIPTION = (
    "Run a few real steps of a config without training, and say line by line what is well (ok), what is wrong (RED, "
    "with its cure) and what could not be checked. Nothing is written, and no weight changes. "
    "The status is 0 if no line is red, 1 if one is, and 2 for a wrong option."
)
# What a check shows or needs of the callbacks of a run; all others, such as those that save, stay out of it.
_KEPT = (HyperparameterScheduler, GradientAccumulationScheduler, BaseFinetuning, Timer)
_KNOWN = ("lightning.", "lightning_abkd.", "pytorch_lightning.")
# Options of the trainer that write, or that only a whole training needs.
_TRAINER: dict[str, object] = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
    "fast_dev_run": False,
    "profiler": None,
    "barebones": False,
    "devices": 1,
    "num_nodes": 1,
    "strategy": "auto",
}


class CheckCLI(AbkdCLI):
    """The options of a training, whose networks and data are built and examined.

    Args:
        options: Options of `abkd fit`.

    Attributes:
        findings: What the doctor found.
    """

    def __init__(self, options: list[str]) -> None:
        self.findings: list[Finding] = []
        self._notes: list[Finding] = []
        with tempfile.TemporaryDirectory() as folder:
            self._folder = folder
            super().__init__(["fit", *options])

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the one command whose options a check has."""
        return {"fit": AbkdCLI.subcommands()["fit"]}

    def _prepare_subcommand_parser(self, klass: type, subcommand: str, **kwargs: object) -> LightningArgumentParser:
        parser = super()._prepare_subcommand_parser(klass, subcommand, **kwargs)
        if isinstance(parser, Parser) and subcommand == "fit":
            parser.command = "check"
            parser.description = _DESCRIPTION
        return parser

    def before_instantiate_classes(self) -> None:
        """Leave out of the trainer what writes."""
        self.save_config_callback = None
        config = self.config["fit"]
        self._note_devices(config.trainer)
        self._note_checkpoint(config.get("ckpt_path"))
        for name, value in (_TRAINER | {"default_root_dir": self._folder}).items():
            config.trainer[name] = value
        if entries(config.model.get("init_args")).get("compile_student"):
            # It takes minutes, and changes no number.
            config.model.init_args.compile_student = False
        given = config.trainer.callbacks if isinstance(config.trainer.callbacks, list) else [config.trainer.callbacks]
        config.trainer.callbacks = [callback for callback in given if callback and self._is_kept(callback)] or None

    def _note_devices(self, trainer: Namespace) -> None:
        devices = trainer.get("devices")
        count = len(devices) if isinstance(devices, list) else devices
        if count not in (None, "auto", 1, "1") or trainer.get("num_nodes") not in (None, 1):
            what = (
                "the run's devices and strategy: one device is examined, and a step counts as many times more samples"
            )
            self._notes.append(Finding("devices", "not checked", what))

    def _note_checkpoint(self, path: str | None) -> None:
        if path is not None:
            what = f"the state in `--ckpt_path {path}`: the training is examined as it begins, not as it goes on"
            self._notes.append(Finding("checkpoint", "not checked", what))

    def _is_kept(self, callback: Namespace) -> bool:
        kind = resolve_name(callback.class_path)
        if not callback.class_path.startswith(_KNOWN):
            self._notes.append(Finding("callbacks", "not checked", f"{callback.class_path} stays out of a check"))
        if not isinstance(kind, type):
            return False
        # Stored outputs are read where no network answers; where one does, they would be written.
        reads = getattr(kind, "brings_teacher", False)
        model = entries(entries(self.config["fit"].model).get("init_args"))
        return issubclass(kind, _KEPT) or (reads and model.get("teacher") is None)

    def instantiate_classes(self) -> None:
        """Build networks and data; what refuses to be built is a red line."""
        try:
            with raised_errors():
                super().instantiate_classes()
        except (Exception, SystemExit) as error:
            if os.environ.get("ABKD_TRACEBACK"):
                raise
            self.findings = [from_error(error, "networks and data", message_of(error))]

    def displays(self, trainer: dict[str, object]) -> list[Callback]:
        """Show nothing: the table comes at the end."""
        return []

    def _run_subcommand(self, subcommand: str) -> None:
        """Examine what was built, unless nothing was."""
        if not self.findings:
            # A module may have its loaders itself.
            data = self.datamodule if isinstance(self.datamodule, LightningDataModule) else None
            self.findings = [*examined(self.model, data, self.trainer, _described), *self._notes]


def _described(error: BaseException) -> str:
    """Return what an error says in one line; ABKD_TRACEBACK=1 raises it instead."""
    if os.environ.get("ABKD_TRACEBACK"):
        raise error
    return message_of(error)


def check_command(options: Sequence[str]) -> None:
    """Run `abkd check` with the options of `abkd fit`, write the table, and exit with 1 if a line is red."""
    with quiet_trainings():
        findings = CheckCLI(list(options)).findings
    write_table(findings)
    sys.exit(1 if any(finding.is_red for finding in findings) else 0)
