"""A training whose output goes to a terminal of 80 columns, and what is seen there."""

import re
import sys
from collections.abc import Callable

import pytest

WIDTH = 80


def seen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], train: Callable[[], object]) -> list[str]:
    """Return every line that was seen on a terminal, those that others overwrote included, without colours."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setattr("tqdm.std._screen_shape_wrapper", lambda: lambda file: (WIDTH - 1, 24))
    capsys.readouterr()
    train()
    text = re.sub(r"\x1b\[[\d;]*[A-Za-z]", "", capsys.readouterr().out)
    return [line.rstrip() for line in re.split(r"[\r\n]", text) if line.strip()]


def trained(*options: str) -> list[str]:
    """Return the options of a training with everything that a terminal shows."""
    return [*options, "--trainer.enable_progress_bar", "null"]
