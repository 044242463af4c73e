import random
from functools import partial

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader, IterableDataset

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.data import DigitsDataModule, InstructionDataModule
from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.modules import AdaptiveOffPolicy, DistillationModule, LanguageDistillationModule, Sampling
from lightning_abkd.schedules import Linear
from tests.training._training import dataset, loader, module, plain_module, sgd, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:Checkpoint directory",
    "ignore:The dirpath has",
    "ignore:Be aware that",
)


class Noise(nn.Module):
    """Draws from every generator of the CPU in training."""

    def forward(self, inputs):
        if not self.training:
            return inputs
        return inputs + 0.1 * random.random() + 0.1 * np.random.rand() + 0.1 * torch.rand(1)  # noqa: NPY002


class Everything(Callback):
    """What a fit does, in order, and a checkpoint after each micro-batch; a list of what follows each."""

    def __init__(self, folder):
        self.folder = folder
        self.seen = []
        self.batches = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.seen.append((outputs["loss"].item(), float(pl_module.divergence.alpha), rate))
        self.batches.append(len(self.seen))
        trainer.save_checkpoint(self.folder / f"batch={len(self.batches)}.ckpt")

    def on_validation_end(self, trainer, pl_module):
        if not trainer.sanity_checking:
            self.seen.append((trainer.callback_metrics["val/loss"].item(), trainer.global_step))


def everything(folder, kind, checkpoint=None, seed=0, **options):
    seed_everything(0, verbose=False)
    net, *data = kind()
    seed_everything(seed, verbose=False)
    saved = ModelCheckpoint(folder, filename="{step}", save_top_k=-1, save_on_train_epoch_end=False)
    options = {"max_epochs": 2, "limit_val_batches": 1} | options
    callbacks = [log := Everything(folder), saved, AlphaBetaScheduler(alpha=Linear(0.9, 0.4))]
    fitted = trainer(folder, callbacks=callbacks, enable_checkpointing=True, **options)
    fitted.fit(net, *data, ckpt_path=checkpoint)
    return log


def images():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.Dropout(), Noise(), nn.Linear(8, 10))
    falls = partial(ReduceLROnPlateau, patience=0, threshold=10.0, threshold_mode="abs")
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    net = DistillationModule(teacher, net, optimizer=sgd, lr_scheduler=falls)
    return net, DigitsDataModule(batch_size=32, train_size=90)


class Steered(AdaptiveOffPolicy):
    """Raises its threshold at each validation."""

    def validated(self, loss):
        super().validated(loss + self.batches)


def texts():
    policy = Steered(0.5, step=0.2, tolerance=0.0, capacity=4, sampling=Sampling(max_new_tokens=2))
    sizes = {"n_layer": 1, "n_embd": 4, "n_head": 1, "vocab_size": 384, "n_positions": 200, "eos_token_id": 1}
    networks = [causal_lm_from_config("gpt2", sizes | {"bos_token_id": 1}) for _ in range(2)]
    data = InstructionDataModule(max_length=200, max_prompt_length=180, batch_size=2, train_size=6)
    return LanguageDistillationModule(*networks, optimizer=sgd, student_data=policy), data


EXACT = {
    "images": (images, {}, (1, 3, 4)),
    "images, validated within epochs": (images, {"val_check_interval": 2}, (2, 3, 5)),
    "images, accumulated": (images, {"accumulate_grad_batches": 2}, (1, 3, 4)),
    "texts": (texts, {"val_check_interval": 2}, (1, 2, 3)),
    "texts, accumulated": (texts, {"accumulate_grad_batches": 2}, (1, 3)),
}


@pytest.mark.filterwarnings("ignore:The .*dataloader.* is smaller than the logging interval")
@pytest.mark.parametrize("name", EXACT)
def test_a_run_from_any_batch_is_the_uninterrupted_one(tmp_path, name):
    kind, options, batches = EXACT[name]
    whole = everything(tmp_path, kind, **options)
    for batch in batches:
        resumed = everything(tmp_path / "on", kind, tmp_path / f"batch={batch}.ckpt", seed=7, **options)
        assert resumed.seen == whole.seen[whole.batches[batch - 1] :], batch


def test_a_run_from_a_validation_is_the_uninterrupted_one(tmp_path):
    whole = everything(tmp_path, images, val_check_interval=2)
    for step in (2, 5):
        on = everything(tmp_path / "on", images, tmp_path / f"step={step}.ckpt", seed=7, val_check_interval=2)
        assert on.seen == whole.seen[whole.batches[step - 1] + 1 :], step


def test_a_run_that_was_resumed_is_resumed_again(tmp_path):
    whole = everything(tmp_path, images)
    everything(tmp_path / "1", images, tmp_path / "batch=2.ckpt", seed=7)
    again = everything(tmp_path / "2", images, tmp_path / "1" / "batch=2.ckpt", seed=8)
    assert again.seen == whole.seen[whole.batches[3] :]


class Unsized(IterableDataset):
    def __iter__(self):
        return iter(dataset())


def unsized():
    return plain_module(), DataLoader(Unsized(), 8), loader()


def test_a_loader_that_begins_again_is_said_once(tmp_path):
    everything(tmp_path, unsized, max_steps=6)
    with pytest.warns(UserWarning, match="loader begins with the first batch again") as warned:
        everything(tmp_path / "on", unsized, tmp_path / "batch=2.ckpt", max_steps=6)
    assert len([each for each in warned if "begins with the first batch" in str(each.message)]) == 1


class Steps(Callback):
    """The loss and the learning rate of each step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((outputs["loss"].item(), trainer.optimizers[0].param_groups[0]["lr"]))


def run(folder, checkpoint=None, seed=0, workers=0, lr_scheduler=None, **options):
    seed_everything(seed, verbose=False)
    saved = ModelCheckpoint(folder, filename="{step}", save_top_k=-1)
    fitted = trainer(
        folder, max_epochs=3, callbacks=[steps := Steps(), saved], enable_checkpointing=True, logger=False, **options
    )
    data = DataLoader(dataset(), 8, shuffle=True, num_workers=workers)
    fitted.fit(module(lr_scheduler=lr_scheduler), data, loader(), ckpt_path=checkpoint)
    fitted.save_checkpoint(folder / "last.ckpt")
    return steps.seen


OPTIONS = {
    "each epoch": {},
    "within epochs": {"val_check_interval": 0.5},
    "no validation": {"limit_val_batches": 0},
    "workers": {"workers": 1},
}


@pytest.mark.filterwarnings("ignore:This process")
@pytest.mark.parametrize("name", OPTIONS)
def test_a_loader_of_the_users_goes_on_in_its_order(tmp_path, name):
    whole = run(tmp_path, **OPTIONS[name])
    resumed = run(tmp_path / "on", tmp_path / "step=4.ckpt", seed=7, **OPTIONS[name])
    assert resumed == whole[4:]


def test_a_fit_goes_on_from_the_end_of_a_shorter_one(tmp_path):
    whole = run(tmp_path)
    run(tmp_path / "half", max_steps=4)
    assert run(tmp_path / "on", tmp_path / "half" / "last.ckpt", seed=7) == whole[4:]


@pytest.mark.parametrize("name", ["each epoch", "within epochs"])
def test_a_rate_that_follows_a_value_goes_on_exactly(tmp_path, name):
    # The rate falls after each validation but the first, because none is better by 10.
    falls = partial(ReduceLROnPlateau, patience=0, threshold=10.0, threshold_mode="abs")
    options = OPTIONS[name] | {"lr_scheduler": falls}
    whole = run(tmp_path, **options)
    assert len({rate for _, rate in whole}) > 1
    assert run(tmp_path / "on", tmp_path / "step=4.ckpt", **options) == whole[4:]


def test_a_fit_that_stops_before_its_first_epoch_leaves_nothing(tmp_path):
    class Stop(Callback):
        def on_fit_start(self, trainer, pl_module):
            raise MemoryError

    run(tmp_path)
    net = module()
    with pytest.raises(MemoryError):
        trainer(tmp_path, callbacks=[Stop()]).fit(net, loader(), ckpt_path=tmp_path / "step=4.ckpt")
    drawn = []
    for fitted in (net, module()):
        torch.manual_seed(3)
        trainer(tmp_path, max_epochs=0).fit(fitted, loader())
        drawn.append(torch.rand(1))
    assert drawn[0] == drawn[1]


def test_an_evaluation_takes_nothing_of_the_fit(tmp_path):
    run(tmp_path)
    net = module()
    trainer(tmp_path).validate(net, loader(), ckpt_path=tmp_path / "step=4.ckpt", verbose=False)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    net.on_fit_start()
    assert torch.equal(torch.get_rng_state(), before)
