"""The parser of the command's options."""

from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._report import one_sentence


class Parser(LightningArgumentParser):
    """Parser that reports an error in one sentence, without the usage of every option before it."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report what is wrong and exit."""
        if not self.exit_on_error:
            super().error(message, ex)
        fail(one_sentence(str(message)))
