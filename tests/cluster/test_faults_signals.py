"""A training that is asked to stop finishes its step, saves, and goes on later as if nothing had been."""

import os
import signal
import stat
import time

import pytest
import torch
from lightning.pytorch import Callback

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.cli._exits import interrupts
from tests._processes import Rank, start_ranks
from tests.cli._commands import CONFIG
from tests.cluster._trainings import Fault, steps, train

POINTS = {
    "step": ("on_before_optimizer_step", 5),
    "last step of an epoch": ("on_train_batch_start", 8),
    "validation": ("on_validation_batch_start", 2),
    "end of a validation": ("on_validation_end", 1),
}


def stopped(folder, hook, call, number=signal.SIGTERM, kind="images", **options):
    train(folder, kind, [Fault(hook, call, number)], **options)


@pytest.mark.parametrize(
    ("kind", "point"), [*(("images", point) for point in POINTS), ("language", "step"), ("language", "validation")]
)
def test_after_sigterm_a_run_goes_on_as_if_nothing_had_been(tmp_path, whole, kind, point):
    assert Rank(stopped, (tmp_path, *POINTS[point], signal.SIGTERM, kind)).code() == 143
    before = steps(tmp_path)
    assert Rank(train, (tmp_path, kind)).result() == ["epoch=2-step=12.ckpt", "last.ckpt"]
    assert len(before) < len(whole[kind])
    assert steps(tmp_path) == whole[kind]


def test_ctrl_c_saves_and_says_where(tmp_path):
    output = tmp_path / "output"
    assert Rank(stopped, (tmp_path, "on_train_batch_start", 2, signal.SIGINT), output=output).code() == 130
    assert "SIGINT: stops after this step. Ctrl-C again: at once." in output.read_text()
    assert f"SIGINT: stopped after step 2. Saved {tmp_path}/kept/last.ckpt, from which" in output.read_text()
    assert torch.load(tmp_path / "kept/last.ckpt")["global_step"] == 2


class Hangs(Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
        time.sleep(60)


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    started = time.monotonic()
    assert Rank(train, (tmp_path, "images", [Hangs()])).code() == 1
    assert time.monotonic() - started < 30
    assert not (tmp_path / "kept").exists()


def stopped_in_window(folder):
    stopped(folder, "on_train_batch_start", 1, accumulate_grad_batches=2)


def test_micro_batches_that_accumulate_end_first(tmp_path):
    assert Rank(stopped_in_window, (tmp_path,)).code() == 143
    progress = torch.load(tmp_path / "kept/last.ckpt")["loops"]["fit_loop"]["epoch_loop.batch_progress"]
    assert progress["current"]["ready"] == 2


def stopped_without_checkpoints(folder):
    signal.signal(signal.SIGTERM, lambda *unused: (folder / "mine").touch())
    stopped(folder, "on_train_batch_start", 2, kept=False)


def test_handlers_of_users_are_called_and_nothing_is_saved_unasked(tmp_path):
    output = tmp_path / "output"
    assert Rank(stopped_without_checkpoints, (tmp_path,), output=output).code() == 143
    assert "stopped after step 2. Nothing was saved, because the trainer has no ModelCheckpoint." in output.read_text()
    assert (tmp_path / "mine").exists()


def requeued(folder, call):
    """Stop by SLURM's signal, with a `scontrol` that writes down what it is asked."""
    scontrol = folder / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\n')
    scontrol.chmod(scontrol.stat().st_mode | stat.S_IEXEC)
    os.environ |= {"PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "1"}
    os.environ |= {"SLURM_JOB_NAME": "distil", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    stopped(folder, "on_before_optimizer_step", call, signal.SIGUSR1, resume=None)


def test_slurm_requeues_after_the_step_and_lightning_finds_the_checkpoint(tmp_path, whole):
    assert Rank(requeued, (tmp_path, 5)).code() == 138
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert torch.load(tmp_path / "hpc_ckpt_1.ckpt")["global_step"] == 5
    Rank(requeued, (tmp_path, 99)).result()
    assert steps(tmp_path) == whole["images"]


def stopped_rank(folder):
    is_asked = os.environ["RANK"] == "1"
    faults = [Fault("on_train_batch_start", 2, signal.SIGTERM)] if is_asked else []
    train(folder / os.environ["RANK"], callbacks=faults, devices=2, strategy="ddp")


def test_one_rank_that_is_asked_suffices(tmp_path):
    for rank in "01":
        (tmp_path / rank).mkdir()
    ranks = start_ranks(stopped_rank, 2, tmp_path)
    assert [rank.code() for rank in ranks] == [143, 143]
    assert torch.load(tmp_path / "0/kept/last.ckpt")["global_step"] == 2


def command(folder, hook, call, number, *options):
    os.chdir(folder)
    (folder / "config.yaml").write_text(CONFIG)
    values = {"hook": hook, "call": call, "number": number}
    fault = [f"--trainer.callbacks.{name}={value}" for name, value in values.items()]
    with interrupts():
        words = ["fit", "--config", "config.yaml", "--trainer.callbacks+=tests.cluster._trainings.Fault", *fault]
        return AbkdCLI([*words, *options]).trainer.global_step


def test_the_command_goes_on_from_last_where_there_is_one(tmp_path):
    output = tmp_path / "output"
    for code in (143, None):
        rank = Rank(command, (tmp_path, "on_train_batch_end", 8, 15, "--ckpt_path", "last"), output=output)
        assert rank.code() == code if code else rank.result() == 12
    text = output.read_text()
    assert "there is no last checkpoint available. No checkpoint will be loaded" in text
    assert f"Restored all states from the checkpoint at {tmp_path}/checkpoints/last.ckpt" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(("number", "code"), [(2, 130), (15, 143)])
def test_the_command_leaves_with_the_same_codes_before_training(tmp_path, number, code):
    rank = Rank(command, (tmp_path, "on_sanity_check_start", 1, number), output=tmp_path / "output")
    assert rank.code() == code
