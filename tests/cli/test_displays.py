import sys

import pytest
from lightning.pytorch.callbacks import RichProgressBar

from lightning_abkd.cli._displays import displays


def shown(**trainer):
    return [type(callback).__name__ for callback in displays(trainer)], trainer.get("enable_progress_bar")


@pytest.fixture(autouse=True)
def terminal(monkeypatch, request):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: "file" not in request.node.name)


def test_a_terminal_has_bar_and_table():
    assert shown() == (["DistillationBar", "EvaluationTable", "EndReport"], None)


def test_a_file_has_lines_unless_a_bar_is_asked_for():
    assert shown() == (["EpochLines", "EndReport"], False)
    assert shown(enable_progress_bar=True) == (["DistillationBar", "EvaluationTable", "EndReport"], True)


def test_the_users_own_bar_replaces_ours():
    for callbacks in ([RichProgressBar()], RichProgressBar()):
        assert shown(callbacks=callbacks)[0] == ["EvaluationTable", "EndReport"]


def test_a_bar_that_is_switched_off_takes_the_table_with_it():
    assert shown(enable_progress_bar=False) == (["EndReport"], False)


def test_a_development_run_is_lightnings_own():
    assert shown(fast_dev_run=2) == ([], None)
