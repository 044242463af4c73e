"""How far a sweep is, on the screen or in a file."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.utilities import rank_zero_only

from lightning_abkd.cli._errors import raised_errors

_BAR = "Sweep {n_fmt}/{total_fmt} {bar:20} {remaining} left{postfix}"
_CHATTY = ("lightning.pytorch", "lightning.fabric", "lightning_abkd")


class Progress:
    """A bar of the points that are done and the time that is left; in a file one line per point.

    Args:
        total: Number of points.
        done: Number of those that earlier commands did.
    """

    def __init__(self, total: int, done: int) -> None:
        self._total = total
        self._before = done
        self._start = time.monotonic()
        # `disable=None` hides the bar where there is no terminal.
        self._bar = Tqdm(total=total, initial=done, disable=None, dynamic_ncols=True, smoothing=0, bar_format=_BAR)
        self._done = done
        if done:
            self.say(f"Sweep: {done} of {total} points are done already.")

    @rank_zero_only
    def say(self, text: str) -> None:
        """Write a line above the bar."""
        Tqdm.write(text, file=sys.stderr)

    def begin(self, label: str) -> None:
        """Show which point is trained now."""
        self._bar.set_postfix_str(label)

    def end(self, label: str, outcome: str) -> None:
        """Count a point, and write what came of it."""
        self._done += 1
        self._bar.update()
        self.say(f"Sweep: {label}: {outcome} ({self._done} of {self._total}{self._left()})")

    def close(self) -> None:
        """End the bar."""
        self._bar.close()

    def _left(self) -> str:
        """Return how long the other points will take; a bar shows it itself."""
        if not self._bar.disable or self._done == self._total:
            return ""
        each = (time.monotonic() - self._start) / (self._done - self._before)
        return f", {Tqdm.format_interval(each * (self._total - self._done))} left"


@contextmanager
def quiet_trainings() -> Iterator[None]:
    """Silence what every training says again; warnings stay, and errors are raised instead of written."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with raised_errors():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
