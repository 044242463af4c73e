"""Trainings that are stopped by real signals are in tests/cluster/test_faults_signals.py."""

import logging
import os
import signal
from pathlib import Path

import pytest
from lightning.pytorch.callbacks import LambdaCallback, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from lightning_abkd.callbacks import SignalCheckpoint
from lightning_abkd.training._signal_checkpoint import _last_path
from tests.training._training import loader, module, trainer


def signal_checkpoints_of(run):
    return [each for each in run.callbacks if isinstance(each, SignalCheckpoint)]


def test_every_module_has_one_and_a_users_own_stays(tmp_path):
    own = SignalCheckpoint()
    runs = trainer(tmp_path, max_epochs=1), trainer(tmp_path, max_epochs=1, enable_checkpointing=True, callbacks=[own])
    for run in runs:
        for _ in range(2):
            run.fit(module(), loader())
    assert [len(signal_checkpoints_of(run)) for run in runs] == [1, 1]
    assert signal_checkpoints_of(runs[1]) == [own]


def test_lightnings_own_model_checkpoint_stays_the_first(tmp_path):
    run = trainer(tmp_path, max_epochs=1, enable_checkpointing=True)
    run.fit(module(), loader())
    assert isinstance(run.checkpoint_callback, ModelCheckpoint)


def test_a_file_of_another_run_is_not_overwritten(tmp_path):
    (tmp_path / "last.ckpt").touch()
    run = trainer(tmp_path, enable_checkpointing=True, callbacks=[ModelCheckpoint(tmp_path)])
    assert Path(str(_last_path(run))) == tmp_path / "last-v1.ckpt"
    assert Path(str(_last_path(run))) == tmp_path / "last-v1.ckpt"


def test_what_it_says_is_its_own(tmp_path, caplog, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.training._signal_checkpoint.rank_zero_info", said.append)
    asked = LambdaCallback(on_train_batch_start=lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    run = trainer(tmp_path, enable_checkpointing=True, callbacks=[ModelCheckpoint(tmp_path), asked])
    with caplog.at_level(logging.INFO), pytest.raises(SIGTERMException, match="143"):
        run.fit(module(), loader())
    assert "SIGTERM: stopped after step 1." in said[-1]
    assert "weights_only" not in caplog.text
