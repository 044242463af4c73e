import os
from pathlib import Path

import pytest

from lightning_abkd.cli._check import CheckCLI, check_command
from tests.cli._commands import CONFIG


def found(*options):
    return {finding.name: finding for finding in CheckCLI(["--config", "config.yaml", *options]).findings}


def test_an_untrained_teacher_is_red_and_the_status_is_1(capsys):
    with pytest.raises(SystemExit, match="1"):
        check_command(["--config", "config.yaml"])
    said = capsys.readouterr().out
    assert "Teacher no better than chance" in said
    assert "1 of 21 lines is red." in said
    assert os.listdir() == ["config.yaml"]


def test_schedules_stay_and_what_writes_does_not(folder):
    assert found()["α, β now and at the end"].text == "(0.8, 0) to (0.8, 1)"
    assert os.listdir() == ["config.yaml"]


def test_a_file_that_is_not_there_is_a_red_line():
    teacher = ["--model.teacher", "lightning_abkd.models.load_pretrained", "--model.teacher.checkpoint", "none.pt"]
    teacher += ["--model.teacher.network", "torch.nn.Identity"]
    assert "should name a file. Found none at none.pt." in found(*teacher)["networks and data"].text


def test_a_wrong_option_is_refused_as_everywhere(capsys):
    with pytest.raises(SystemExit, match="2"):
        found("--model.task_wieght", "1")
    assert "task_weight" in capsys.readouterr().err


def test_other_devices_and_own_callbacks_are_noted():
    noted = found("--trainer.devices", "2", "--trainer.callbacks+", "tests.field._doctor.OwnCallback")
    assert noted["devices"].state == noted["callbacks"].state == "not checked"


def test_a_state_to_go_on_from_is_noted_and_no_alarm():
    noted = found("--ckpt_path", "last")["checkpoint"]
    assert noted.state == "not checked"
    assert "`--ckpt_path last`" in noted.text


def test_help_says_what_the_status_means(capsys):
    with pytest.raises(SystemExit, match="0"):
        check_command(["--help"])
    said = capsys.readouterr().out
    assert "usage: abkd check --config FILE" in said
    assert "The status is 0" in said


def test_error_is_raised_where_it_comes_from(monkeypatch):
    monkeypatch.setenv("ABKD_TRACEBACK", "1")
    narrow = CONFIG.replace("64, hidden_channels: [10]", "3, hidden_channels: [10]")
    Path("config.yaml").write_text(narrow)
    with pytest.raises(RuntimeError, match="mat1"):
        found()
