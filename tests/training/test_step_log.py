import csv
import os

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.losses import AlphaBetaDivergence, JensenShannon
from lightning_abkd.schedules import Linear
from tests.language._text import language_module
from tests.training._syncs import CountWaits, ForbidWaits
from tests.training._training import loader, module, plain_module, sgd, trainer


class Losses(Callback):
    """Remembers the loss of each step, and which of them were logged."""

    def __init__(self):
        self.losses, self.logged = [], []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.losses.append(float(outputs["loss"]) * trainer.accumulate_grad_batches)
        if float(trainer.callback_metrics["train/loss"]) == pytest.approx(self.losses[-1]):
            self.logged.append(len(self.losses))


def tokens():
    ids = torch.randint(2, 384, (8, 9), generator=torch.Generator().manual_seed(0))
    rows = [{"input_ids": row, "labels": row.clone()} for row in ids]
    for position, row in enumerate(rows):
        row["labels"][: position % 3 + 1] = -100
    return DataLoader(rows, 2)


def scheduler():
    return AlphaBetaScheduler(alpha=Linear(1.0, 0.2), beta=Linear(0.0, 0.7))


def test_steps_are_logged_where_loggers_write_and_at_both_ends(tmp_path):
    run = trainer(tmp_path, max_epochs=1, log_every_n_steps=3, callbacks=[seen := Losses()])
    run.fit(module(), loader(64))
    assert seen.logged == [1, 3, 6, 8]
    run = trainer(tmp_path, max_steps=2, log_every_n_steps=0, callbacks=[seen := Losses()])
    run.fit(module(), loader(64))
    assert seen.logged == [1, 2]


@pytest.mark.filterwarnings("ignore:You.re resuming from a checkpoint that ended before the epoch")
def test_a_resumed_run_logs_its_first_step(tmp_path):
    checkpoint = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=1, save_top_k=-1)
    options = {"max_epochs": 1, "enable_checkpointing": True, "callbacks": [checkpoint]}
    trainer(tmp_path, **options).fit(module(), loader(64))
    resumed = trainer(tmp_path, **options | {"callbacks": [checkpoint, seen := Losses()]})
    resumed.fit(module(), loader(64), ckpt_path=tmp_path / "step=4.ckpt")
    assert seen.logged == [1, 4]


@pytest.mark.parametrize("micro", [1, 2])
def test_loggers_get_the_values_of_their_own_step(tmp_path, micro):
    logger = CSVLogger(tmp_path, name="", version="")
    options = {"logger": logger, "log_every_n_steps": 2, "accumulate_grad_batches": micro, "max_epochs": 1}
    run = trainer(tmp_path, **options, callbacks=[scheduler(), seen := Losses()])
    run.fit(plain_module(), loader(64))
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    rows = [row for row in csv.DictReader(lines) if row["train/loss"]]
    steps = [int(row["step"]) for row in rows]
    assert steps == list(range(1, 8 // micro, 2))
    assert [float(row["train/loss"]) for row in rows] == pytest.approx(
        [seen.losses[micro * s + micro - 1] for s in steps]
    )
    expected = [1.0 - 0.8 * step / (8 // micro - 1) for step in steps]
    assert [float(row["train/alpha"]) for row in rows] == pytest.approx(expected)


# transformers asks its input once in each forward pass that is not compiled whether sequences are packed.
# On a CPU a check costs next to nothing and runs with every batch, as do the reads by which a divergence looks at a
# number of its own; here every batch is treated as on a device, whose checks run once in fifty batches.
@pytest.mark.parametrize(
    ("make", "data"), [(module, lambda: loader(64)), (language_module, tokens)], ids=["vision", "language"]
)
@pytest.mark.parametrize("micro", [1, 2])
def test_no_step_between_logged_ones_waits_for_the_device(tmp_path, monkeypatch, make, data, micro):
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)
    watched = ("_checks", "_optimization", "_non_finite_guard", "_evaluation_watch")
    for place in (*(f"training.{name}" for name in watched), "language._paths"):
        monkeypatch.setattr(f"lightning_abkd.{place}.is_watched", lambda device, batch_idx: batch_idx % 50 == 0)
    for place in ("functional._numerics", "functional._alpha_beta", "kernels._logit_rows", "losses._chunked"):
        monkeypatch.setattr(f"lightning_abkd.{place}.can_read_without_sync", lambda tensor: False)
    net = make(divergence=JensenShannon(), optimizer=sgd)
    run = trainer(
        tmp_path, max_epochs=1, limit_train_batches=6, accumulate_grad_batches=micro, callbacks=[CountWaits()]
    )
    run.fit(net, data())
    counted = run.callbacks[0]
    assert (counted.steps, counted.waits.names) == (5 - micro, [])


def test_the_progress_bar_shows_the_losses_and_the_schedule_alone(tmp_path):
    run = trainer(tmp_path, max_epochs=1, callbacks=[scheduler()])
    run.fit(plain_module(), loader(), loader())
    names = ("loss", "task_loss", "divergence", "alpha", "beta")
    assert set(run.progress_bar_metrics) == {f"train/{name}" for name in names}
    assert {"train/accuracy", "val/loss", "val/agreement"} <= set(run.callback_metrics)


def test_a_wait_is_counted(tmp_path):
    run = trainer(tmp_path, max_epochs=1, callbacks=[counted := CountWaits()])
    run.fit(module(), loader(32))
    assert "_local_scalar_dense" in counted.waits.names


@pytest.mark.skipif(os.environ.get("ABKD_TEST_DEVICE") != "cuda", reason="counts waits for a GPU")
@pytest.mark.parametrize(
    ("make", "data"), [(module, lambda: loader(64)), (language_module, tokens)], ids=["vision", "language"]
)
def test_no_step_between_logged_ones_waits_for_the_gpu(tmp_path, monkeypatch, make, data):
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", lambda position_ids: None)
    net = make(divergence=AlphaBetaDivergence())
    options = {"accelerator": "gpu", "devices": 1, "max_epochs": 1, "limit_train_batches": 4}
    trainer(tmp_path, **options, callbacks=[ForbidWaits(), scheduler()]).fit(net, data())
