from functools import partial

import pytest
import torch
from lightning.pytorch import Callback, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torch.utils.data import DataLoader

from tests.training._training import dataset, loader, module, trainer

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:Checkpoint directory",
    "ignore:The dirpath has",
    "ignore:Be aware that",
)


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
