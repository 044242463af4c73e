"""Which callbacks show a training on the screen, by what the user asked for and where the output goes."""

import sys

from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ProgressBar

from lightning_abkd.cli._end_report import EndReport
from lightning_abkd.cli._evaluation_table import EpochLines, EvaluationTable
from lightning_abkd.cli._progress_bar import DistillationBar


def displays(trainer: dict[str, object]) -> list[Callback]:
    """Return callbacks that show a training, and hide Lightning's bar where they replace it.

    Args:
        trainer: Arguments of the trainer; `enable_progress_bar` is set to False for output that goes to a file, unless
            the user set it.
    """
    if trainer.get("fast_dev_run"):
        return []
    given = trainer.get("callbacks") or []
    has_own_bar = any(isinstance(each, ProgressBar) for each in (given if isinstance(given, list) else [given]))
    if trainer.get("enable_progress_bar") is False:
        return [EndReport()]
    if has_own_bar:
        return [EvaluationTable(), EndReport()]
    if sys.stdout.isatty() or trainer.get("enable_progress_bar"):
        return [DistillationBar(), EvaluationTable(), EndReport()]
    trainer["enable_progress_bar"] = False
    return [EpochLines(), EndReport()]
