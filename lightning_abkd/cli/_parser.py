"""The parser of the command's options."""

import sys
from argparse import SUPPRESS, Action, ArgumentParser, HelpFormatter
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._help import class_help, command_help
from lightning_abkd.cli._report import one_sentence
from lightning_abkd.cli._suggestions import suggestion
from lightning_abkd.modules import DistillationModule


class _TrainerHelp(Action):
    """Shows all options of Lightning's trainer."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "nargs": 0, "dest": SUPPRESS, "default": SUPPRESS, "help": SUPPRESS})

    def __call__(self, parser: ArgumentParser, *arguments: object, **options: object) -> None:
        """Show them and exit."""
        trainer = [each for each in parser._actions if each.dest.startswith("trainer.")]
        sys.stdout.write(class_help("Options of Lightning's trainer:", "", trainer))
        parser.exit()


class Parser(LightningArgumentParser):
    """Parser that reports an error in one sentence, without the usage of every option before it."""

    command: str | None = None

    def show_as(self, command: str) -> None:
        """Show the help of a command such as fit, and add `--trainer.help`, which shows that of the trainer."""
        self.command = command
        self.add_argument("--trainer.help", action=_TrainerHelp)

    def format_help(self, formatter: HelpFormatter | None = None) -> str:
        """Return the help of a command, or of a class that an option names."""
        if self.command:
            module = type(self)()
            module.add_class_arguments(DistillationModule, "model", fail_untyped=False)
            return command_help(self.command, self.description or "", self._actions, module._actions)
        if self._subcommands_action is not None:
            return str(super().format_help())
        groups = [group for group in self._action_groups if group._group_actions]
        title = groups[-1].title if groups else None
        return class_help(self.description or "", title or "", self._actions)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report what is wrong and exit."""
        if not self.exit_on_error:
            super().error(message, ex)
        fail(suggestion(str(message), self._all_options()) or one_sentence(str(message)))

    def _all_options(self) -> list[str]:
        """Return every option of the command, or of all commands."""
        commands = self._subcommands_action
        parsers = [self] if commands is None else list(commands._name_parser_map.values())
        return list(dict.fromkeys(each.dest for parser in parsers for each in parser._actions))
