import shlex
from pathlib import Path

import pytest

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.cli._end_report import command_of_test
from tests.cli._commands import run

pytestmark = pytest.mark.float32


def reported(capsys, *options):
    run("fit", *options)
    return [line for line in capsys.readouterr().out.splitlines() if not line.startswith("Epoch")]


def test_the_printed_command_tests_the_best_epoch(capsys):
    best, checkpoint, test = reported(capsys)
    assert best.startswith("Best epoch: 2 of 2, val/loss ")
    assert checkpoint == "Checkpoint: checkpoints/best.ckpt"
    command = test.removeprefix("Test it:    abkd ")
    assert command == "test --config logs/version_0/config.yaml --ckpt_path checkpoints/best.ckpt"
    cli = AbkdCLI(shlex.split(command))
    assert "test/accuracy" in cli.trainer.callback_metrics


def test_without_a_metric_the_last_epoch_is_named(capsys):
    last, checkpoint, _ = reported(capsys, "--trainer.callbacks", "null")
    assert last == "Last epoch kept: 2 of 2"
    assert Path(checkpoint.removeprefix("Checkpoint: ")).is_file()


@pytest.mark.parametrize(
    "options",
    [["--trainer.fast_dev_run", "1"], ["--trainer.callbacks", "null", "--trainer.enable_checkpointing", "false"]],
)
def test_a_run_without_a_checkpoint_reports_none(capsys, options):
    run("fit", *options)
    assert "Checkpoint" not in capsys.readouterr().out


def test_a_shell_takes_the_command_as_it_stands():
    command = command_of_test(Path("my runs/config.yaml"), Path("a'b/epoch=1-step=2.ckpt"))
    assert shlex.split(command)[3::2] == ["my runs/config.yaml", "a'b/epoch=1-step=2.ckpt"]
