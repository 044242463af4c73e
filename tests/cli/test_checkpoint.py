from pathlib import Path

import pytest

from tests.cli._commands import CONFIG, refused, run

pytestmark = pytest.mark.float32


def test_a_run_that_stopped_resumes_from_last():
    run("fit", "--trainer.max_epochs", "1")
    cli = run("fit", "--ckpt_path", "last")
    assert cli.trainer.current_epoch == 2
    assert cli.trainer.global_step == 2 * 6


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_best_survives_a_move_of_the_folder(folder):
    run("fit", "--trainer.max_epochs", "1")
    (folder / "checkpoints").rename(folder / "moved")
    moved = CONFIG.replace("dirpath: checkpoints", "dirpath: moved")
    (folder / "config.yaml").write_text(moved)
    assert Path(run("test", "--ckpt_path", "best").trainer.ckpt_path) == folder / "moved" / "best.ckpt"


@pytest.mark.filterwarnings("ignore:Checkpoint directory")
def test_best_is_of_the_newest_run_in_the_folder(folder):
    run("fit", "--trainer.max_epochs", "1")
    run("fit", "--trainer.max_epochs", "1", "--seed_everything", "1")
    assert Path(run("test", "--ckpt_path", "best").trainer.ckpt_path).name == "best-v1.ckpt"


def test_best_without_an_earlier_run_says_what_it_needs(capsys):
    assert "needs a ModelCheckpoint with `dirpath`" in refused(capsys, "--ckpt_path", "best", command="test")
