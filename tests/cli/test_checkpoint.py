import os
import re
from pathlib import Path

import pytest
import torch
import torchvision
from lightning.pytorch.callbacks import ModelCheckpoint

from lightning_abkd.cli._checkpoint import requeued_checkpoint
from tests.cli._commands import CONFIG, refused, run
from tests.training._training import trainer

WARNING = "abkd: Warning: Found no `--ckpt_path`, so the student is measured as the config builds it, untrained."
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


def test_weights_alone_are_no_checkpoint(folder, capsys):
    torch.save({"weight": torch.zeros(1)}, folder / "weights.pt")
    message = refused(capsys, "--ckpt_path", "weights.pt", command="test")
    assert "Found weights alone in weights.pt; a network takes them as `--model.student load_pretrained" in message


@pytest.mark.parametrize("command", ["validate", "test", "predict"])
def test_a_student_without_a_checkpoint_is_measured_with_a_warning(capsys, command):
    run(command, "--trainer.fast_dev_run", "1")
    assert f"{WARNING} Take `--ckpt_path best`, last or the path of a checkpoint." in capsys.readouterr().err


def test_the_warning_names_the_checkpoint_of_an_earlier_run(folder, capsys):
    run("fit", "--trainer.max_epochs", "1")
    run("test")
    assert f"{WARNING} Take `--ckpt_path best`, here {folder / 'checkpoints' / 'best.ckpt'}" in capsys.readouterr().err


def test_a_student_from_a_file_needs_no_checkpoint(folder, capsys):
    torch.save(torchvision.ops.MLP(64, [10]).state_dict(), folder / "student.pt")
    network = "{class_path: torchvision.ops.MLP, init_args: {in_channels: 64, hidden_channels: [10]}}"
    run(
        "test",
        "--model.student",
        "load_pretrained",
        "--model.student.network",
        network,
        "--model.student.checkpoint",
        "student.pt",
    )
    assert "Warning" not in capsys.readouterr().err


def test_last_is_that_of_a_requeued_job_where_it_is_newer(tmp_path):
    keeper = ModelCheckpoint(tmp_path / "kept", save_last=True)
    run = trainer(tmp_path, enable_checkpointing=True, callbacks=[keeper])
    assert requeued_checkpoint(run) is None
    for second, name in enumerate(("hpc_ckpt_9.ckpt", "kept/last.ckpt", "hpc_ckpt_10.ckpt")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (second, second))
        assert (requeued_checkpoint(run) or keeper.dirpath) == (path if "hpc" in name else keeper.dirpath)


def test_a_cut_checkpoint_is_one_sentence_that_offers_another(folder, capsys):
    run("fit", "--trainer.max_epochs", "1")
    os.truncate(folder / "checkpoints" / "last.ckpt", 3000)
    for command, word in (("fit", "last"), ("test", "best"), ("fit", "checkpoints/last.ckpt")):
        message = refused(capsys, "--ckpt_path", word, command=command)
        assert "last.ckpt cannot be read" in message
        assert re.search(r"The newest checkpoint there that can be read is \S*checkpoints/best.ckpt\.", message)


def test_a_best_checkpoint_that_is_cut_is_named(folder, capsys):
    run("fit", "--trainer.max_epochs", "1")
    os.truncate(folder / "checkpoints" / "best.ckpt", 3000)
    assert "best.ckpt cannot be read" in refused(capsys, "--ckpt_path", "best", command="test")
