import logging
import sys

import pytest

from lightning_abkd import AlphaBetaDivergence
from lightning_abkd.cli._errors import readable_errors
from lightning_abkd.cli._sweep_progress import Progress, quiet_trainings


def test_a_file_has_one_line_per_point(capsys):
    progress = Progress(3, 1)
    progress.begin("α = 1")
    progress.end("α = 1", "val/accuracy 0.5")
    progress.end("α = 2", "diverged")
    progress.close()
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "Sweep: 1 of 3 points are done already."
    assert second.startswith("Sweep: α = 1: val/accuracy 0.5 (2 of 3, 00:0")
    assert third == "Sweep: α = 2: diverged (3 of 3)"


def test_a_terminal_has_a_bar_of_the_points(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Progress(4, 1)
    progress.begin("α = 1")
    progress.end("α = 1", "val/accuracy 0.5")
    progress.close()
    shown = capsys.readouterr().err
    assert "2/4" in shown
    assert "Sweep: α = 1: val/accuracy 0.5 (2 of 4)\n" in shown


def test_errors_of_trainings_are_raised_inside(capsys):
    with pytest.raises(ValueError, match="`alpha` should be finite"), quiet_trainings(), readable_errors():
        AlphaBetaDivergence(float("nan"))
    assert capsys.readouterr().err == ""


def test_trainings_are_quiet_inside_alone():
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    with quiet_trainings():
        assert not logger.isEnabledFor(logging.INFO)
        assert logger.isEnabledFor(logging.WARNING)
    assert logger.level == before
