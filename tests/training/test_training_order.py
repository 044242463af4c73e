from contextlib import suppress

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.utils.data import RandomSampler
from torchvision.transforms import v2

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.data import DigitsDataModule, InstructionDataModule
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule
from lightning_abkd.schedules import Linear
from lightning_abkd.training._training_order import SeededIndex, seeded_augmentation
from tests.training._training import sgd, trainer

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:.*does not have many workers.*", "ignore:Checkpoint directory", "ignore:The dirpath has"
    ),
    pytest.mark.filterwarnings("ignore:The .*dataloader.* is smaller than the logging interval"),
]


class AugmentedDigits(DigitsDataModule):
    def transform(self, augment):
        return v2.RandomAffine(30)


class Stop(Exception):
    pass


class Seen(Callback):
    """What a training sees, by a number for each batch; it may fail at a step."""

    def __init__(self, fails_at=None):
        self.batches = []
        self.fails_at = fails_at

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        inputs = batch["input_ids"] if isinstance(batch, dict) else batch[0]
        views = [inputs] if isinstance(inputs, torch.Tensor) else inputs
        self.batches.append(
            sum(view.double().mul(torch.arange(view.numel()).view_as(view) + 1).sum().item() for view in views)
        )
        if len(self.batches) == self.fails_at:
            raise Stop


def images(**options):
    return AugmentedDigits(batch_size=32, train_size=120, **options)


def texts(**options):
    return InstructionDataModule(max_length=200, max_prompt_length=180, batch_size=2, train_size=9, **options)


def classifier():
    return DistillationModule(student=nn.Sequential(nn.Flatten(), nn.LazyLinear(10)), optimizer=sgd)


def language_model():
    sizes = {"n_layer": 1, "n_embd": 4, "n_head": 1, "vocab_size": 384, "n_positions": 200}
    return LanguageDistillationModule(student=causal_lm_from_config("gpt2", sizes), optimizer=sgd)


def run(folder, build, seed=0, fails_at=None, checkpoint=None, data=None, callbacks=(), **options):
    seed_everything(seed, verbose=False)
    saved = ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1, save_on_exception=True)
    net = language_model() if isinstance(data or build(), InstructionDataModule) else classifier()
    fitted = trainer(
        folder,
        callbacks=[seen := Seen(fails_at), saved, *callbacks],
        enable_checkpointing=True,
        **{"limit_val_batches": 0} | options,
    )
    with suppress(Stop):
        fitted.fit(net, data or build(), ckpt_path=checkpoint)
    return seen.batches


BUILDS = {
    "images": images,
    "two views": lambda: images(two_views=True),
    "incomplete": lambda: images(drop_last=True),
    "text": texts,
    "packed": lambda: texts(packing=True),
}


@pytest.mark.parametrize("name", BUILDS)
def test_a_resumed_run_sees_the_batches_that_it_would_have_seen(tmp_path, name):
    whole = run(tmp_path, BUILDS[name])
    per_epoch = len(whole) // 2
    for step in (1, per_epoch - 1, per_epoch, per_epoch + 1):
        # Another seed: the order is that of the checkpoint.
        resumed = run(tmp_path / "resumed", BUILDS[name], seed=7, checkpoint=tmp_path / f"step={step}.ckpt")
        assert resumed == whole[step:], step


@pytest.mark.filterwarnings("ignore:This process")
def test_workers_change_nothing(tmp_path):
    whole = run(tmp_path, images)
    assert run(tmp_path / "workers", lambda: images(num_workers=1)) == whole
    resumed = run(tmp_path / "on", lambda: images(num_workers=1), checkpoint=tmp_path / "step=2.ckpt")
    assert resumed == whole[2:]


OPTIONS = {
    "max_steps": {"max_epochs": -1, "max_steps": 7},
    "limited": {"limit_train_batches": 3},
    "accumulated": {"accumulate_grad_batches": 2},
    "reloaded": {"reload_dataloaders_every_n_epochs": 1},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_options_of_the_trainer_change_nothing(tmp_path, name):
    micro = OPTIONS[name].get("accumulate_grad_batches", 1)
    whole = run(tmp_path, images, **OPTIONS[name])
    for step in (1, 3):
        resumed = run(tmp_path / "on", images, checkpoint=tmp_path / f"step={step}.ckpt", **OPTIONS[name])
        assert resumed == whole[step * micro :], step


def test_a_schedule_that_asks_for_the_length_changes_nothing(tmp_path):
    def data():
        return images(num_workers=1)

    scheduler = [AlphaBetaScheduler(alpha=Linear(1.0, 0.5), attribute="student")]
    scheduler[0]._schedules = {"task_weight": Linear(1.0, 0.5)}
    whole = run(tmp_path, data, callbacks=scheduler)
    assert run(tmp_path / "on", data, callbacks=scheduler, checkpoint=tmp_path / "step=3.ckpt") == whole[3:]


def test_a_checkpoint_of_a_validation_within_an_epoch_goes_on_behind_it(tmp_path):
    def validated(folder, **options):
        saved = ModelCheckpoint(folder, filename="validated-{step}", save_top_k=-1)
        return run(folder, images, callbacks=[saved], limit_val_batches=1, val_check_interval=2, **options)

    whole = validated(tmp_path)
    for step in (2, 4, 6):
        assert validated(tmp_path / "on", checkpoint=tmp_path / f"validated-step={step}.ckpt") == whole[step:], step


def test_another_pass_within_an_epoch_is_a_whole_one(tmp_path):
    class Passes(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            assert sum(len(labels) for _, labels in trainer.datamodule.train_dataloader()) == 120

    whole = run(tmp_path, images)
    assert run(tmp_path / "again", images, callbacks=[Passes()]) == whole


@pytest.mark.parametrize("step", [2, 4, 5])
def test_a_run_that_failed_goes_on_where_it_failed(tmp_path, step):
    whole = run(tmp_path / "whole", images)
    run(tmp_path, images, fails_at=step)
    newest = max(tmp_path.glob("*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    assert run(tmp_path / "on", images, checkpoint=newest) == whole[step - 1 :]


def test_epochs_and_seeds_have_orders_of_their_own(tmp_path):
    first = run(tmp_path, images)
    assert len(set(first)) == len(first)
    assert run(tmp_path / "again", images) == first
    assert not set(run(tmp_path / "other", images, seed=1)) & set(first)


def test_a_data_module_that_is_fitted_again_follows_the_new_seed(tmp_path):
    data = images()
    run(tmp_path, images, data=data)
    assert run(tmp_path, images, seed=1, data=data) == run(tmp_path / "fresh", images, seed=1)


def test_without_a_fit_every_pass_draws_anew():
    data = DigitsDataModule(train_size=64, batch_size=64)
    data.setup("fit")
    loader = data.train_dataloader()
    orders = [next(iter(loader))[1].tolist() for _ in range(2)]
    assert orders[0] != orders[1]
    torch.manual_seed(3)
    expected = list(RandomSampler(range(64)))
    torch.manual_seed(3)
    assert list(loader.sampler) == expected


def test_an_overfitted_trainer_takes_the_first_samples_in_order(tmp_path):
    with pytest.warns(UserWarning, match="You requested to overfit"):
        assert len(set(run(tmp_path, lambda: DigitsDataModule(batch_size=8, train_size=64), overfit_batches=1))) == 1


class Ranks(Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        index = batch[2]
        gathered = [torch.empty_like(index) for _ in range(2)]
        torch.distributed.all_gather(gathered, index)
        self.seen += torch.cat(gathered).tolist()

    def on_train_end(self, trainer, pl_module):
        assert sorted(self.seen) == sorted(trainer.datamodule.sets["train"].indices.tolist())


def test_two_ranks_share_the_samples_of_an_epoch(tmp_path):
    data = DigitsDataModule(batch_size=16, train_size=64, return_index=True)
    net = DistillationModule(student=nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), optimizer=sgd)
    options = {"max_epochs": 1, "devices": 2, "strategy": "ddp_fork", "limit_val_batches": 0}
    trainer(tmp_path, callbacks=[Ranks()], **options).fit(net, data)


def test_an_augmentation_follows_from_its_seed():
    drawn = []
    for _ in range(2):
        with seeded_augmentation(SeededIndex.of(4, 9)):
            drawn.append((torch.rand(1), np.random.rand()))  # noqa: NPY002
    assert drawn[0] == drawn[1]


def test_a_position_without_a_seed_draws_from_the_stream():
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    with seeded_augmentation(4):
        assert torch.rand(1) == expected
