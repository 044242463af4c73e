import copy
from contextlib import suppress

import pytest
import torch
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import (
    BatchSizeFinder,
    GradientAccumulationScheduler,
    LearningRateFinder,
    StochasticWeightAveraging,
)
from lightning.pytorch.tuner import Tuner
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader, Subset

from lightning_abkd.callbacks import AlphaBetaScheduler
from lightning_abkd.data import DigitsDataModule
from lightning_abkd.modules import DistillationModule, WarmupLinearLR
from lightning_abkd.schedules import Linear
from tests.training._training import dataset, loader, module, plain_module, sgd, trainer
from tests.training.test_step_mean import batch, linear, model

FILTERS = ["ignore:.*does not have many workers.*", "ignore:The .* is smaller than the logging interval"]
pytestmark = [pytest.mark.filterwarnings(text) for text in FILTERS]

WITHIN_A_STEP = ["on_train_batch_start", "on_before_backward", "on_after_backward", "on_train_batch_end"]


def grouped(parameters):
    first, *others = parameters
    return torch.optim.SGD([{"params": [first], "lr": 1e-4}, {"params": others, "lr": 1e-5}])


def rates(run):
    return [group["lr"] for group in run.optimizers[0].param_groups]


@pytest.fixture
def in_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_rate_is_the_optimizers_own_until_it_is_set(tmp_path):
    net = module(optimizer=grouped)
    assert net.lr == net.learning_rate == 1e-4
    net.learning_rate = 0.5
    run = trainer(tmp_path, max_epochs=1)
    run.fit(net, loader())
    assert rates(run) == pytest.approx([0.5, 0.05])
    with pytest.raises(ValueError, match="`lr` should be finite and greater than 0. Found `lr = 0`"):
        net.lr = 0


@pytest.mark.parametrize("schedule", [None, lambda o: CosineAnnealingLR(o, 1000), WarmupLinearLR])
@pytest.mark.parametrize("optimizer", [sgd, grouped])
def test_the_finders_rate_is_that_of_the_training(in_folder, schedule, optimizer):
    class First(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            self.rates = self.rates if trainer.global_step else rates(trainer)

    finder = LearningRateFinder(num_training_steps=20)
    net = module(optimizer=optimizer, lr_scheduler=schedule)
    run = trainer(in_folder, callbacks=[finder, first := First()], enable_checkpointing=True)
    run.fit(net, loader(64, 2))
    found = finder.optimal_lr.suggestion()
    assert net.lr == found
    assert first.rates == pytest.approx([found, found / 10] if optimizer is grouped else [found])
    assert run.global_step == 64


def test_a_search_sees_what_the_first_step_sees(in_folder):
    seen = []

    class Live(DistillationModule):
        def training_step(self, batch, batch_idx):
            seen.append(self.divergence.alpha.item())
            return super().training_step(batch, batch_idx)

    finder = LearningRateFinder(num_training_steps=12)
    net = Live(nn.Linear(5, 7), nn.Linear(5, 7), optimizer=sgd)
    run = trainer(in_folder, max_epochs=1, callbacks=[finder, AlphaBetaScheduler(alpha=Linear(0.25, 1.0))])
    run.fit(net, loader(64, 4))
    assert seen[:12] == [0.25] * 12
    assert (seen[-16], seen[-1]) == (0.25, 1.0)


def test_a_search_is_not_misled_by_counts_of_positions(tmp_path):
    class Losses(Callback):
        values: list

        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            self.values = [*getattr(self, "values", []), outputs["loss"].item()]

    net = model()
    expected = []
    for rows in DataLoader(batch(), 3):
        terms = net.losses(net.signals(rows)).values()
        expected.append(sum(weight * term for weight, term in terms).item())
    net.lr = 1e-12
    trainer(tmp_path, max_epochs=1, callbacks=[seen := Losses()]).fit(net, DataLoader(batch(), 3))
    assert seen.values == pytest.approx(expected, rel=1e-9)


def test_the_tuner_finds_rate_and_batch_size(in_folder):
    data = DigitsDataModule(batch_size=2, train_size=128, flatten=True)
    net = DistillationModule(nn.Linear(64, 10), nn.Linear(64, 10), optimizer=sgd)
    run = trainer(in_folder, max_epochs=3, enable_checkpointing=True)
    tuner = Tuner(run)
    tuner.scale_batch_size(net, datamodule=data, max_trials=2, steps_per_trial=1, init_val=8)
    assert data.batch_size == 16
    found = tuner.lr_find(net, datamodule=data, num_training=20).suggestion()
    run.fit(net, data)
    assert rates(run) == [found]
    assert run.num_training_batches == 8


def test_a_search_for_the_batch_size_leaves_nothing_behind(in_folder):
    def fitted(callbacks):
        data = DigitsDataModule(batch_size=8, train_size=64, flatten=True)
        torch.manual_seed(0)
        net = DistillationModule(nn.Linear(64, 10), nn.Linear(64, 10), optimizer=sgd)
        run = trainer(in_folder, max_steps=1, callbacks=callbacks, accumulate_grad_batches=2)
        run.fit(net, data)
        return net, data

    net, data = fitted([BatchSizeFinder("power", steps_per_trial=1, init_val=8, max_trials=2)])
    assert data.batch_size == 16
    assert net.global_step == 1


class Stop(Callback):
    """Ends a fit within a step, at a hook, by an exception or by request."""

    def __init__(self, hook, how):
        setattr(self, hook, lambda *_: self.end())
        self.how = how
        self.calls = 0

    def end(self):
        self.calls += 1
        if self.calls == 2:
            raise self.how


@pytest.mark.parametrize("how", [MemoryError(), KeyboardInterrupt()])
@pytest.mark.parametrize(
    "hook", ["on_train_batch_start", "on_before_backward", "on_after_backward", "on_train_batch_end"]
)
def test_a_fit_that_stops_within_a_step_leaves_nothing_to_the_next(tmp_path, hook, how):
    assert_first_update_is_right(tmp_path, callbacks=[Stop(hook, how)], accumulate_grad_batches=4)


@pytest.mark.parametrize("hook", ["on_before_optimizer_step", "on_before_zero_grad"])
def test_a_fit_that_stops_at_a_step_leaves_nothing_to_the_next(tmp_path, hook):
    assert_first_update_is_right(tmp_path, callbacks=[Stop(hook, MemoryError())], accumulate_grad_batches=2)


@pytest.mark.parametrize("options", [{"max_time": "00:00:00:00"}, {"max_steps": 1}, {"limit_train_batches": 3}])
def test_a_fit_that_ends_anywhere_leaves_nothing_to_the_next(tmp_path, options):
    assert_first_update_is_right(tmp_path, accumulate_grad_batches=4, **options)


def test_a_fit_that_is_asked_to_stop_leaves_nothing_to_the_next(tmp_path):
    class Ask(Callback):
        def on_train_batch_end(self, trainer, *_):
            trainer.should_stop = True

    assert_first_update_is_right(tmp_path, callbacks=[Ask()], accumulate_grad_batches=4)


def assert_first_update_is_right(tmp_path, **options):
    net = model()
    with suppress(MemoryError, KeyboardInterrupt, SystemExit):
        trainer(tmp_path, max_epochs=1, **options).fit(net, DataLoader(batch(), 1))
    for changed in (net, copy.deepcopy(net)):
        changed.student.load_state_dict(linear(2).state_dict())
        assert_same_update(tmp_path, changed, model())


def assert_same_update(tmp_path, net, fresh):
    # Another size, so another unit.
    for each in (net, fresh):
        trainer(tmp_path, max_epochs=1).fit(each, DataLoader(batch(), 8))
    torch.testing.assert_close(net.student.weight, fresh.student.weight, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:The fit goes on in the middle of an epoch")
def test_a_fit_that_goes_on_within_a_step_takes_the_mean_of_all_of_it(tmp_path):
    net = model()
    with suppress(MemoryError):
        stop = Stop("on_train_batch_end", MemoryError())
        run = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=4, callbacks=[stop])
        run.fit(net, DataLoader(batch(), 2))
    run.save_checkpoint(path := tmp_path / "within.ckpt")
    # Lightning starts a loader without a memory at its first batch.
    others = DataLoader(Subset(batch(), [4, 5, 6, 7, 0, 1, 2, 3]), 2)
    trainer(tmp_path, max_epochs=1, accumulate_grad_batches=4).fit(net, others, ckpt_path=path)
    assert net.trainer.global_step == 1
    trainer(tmp_path, max_epochs=1).fit(fresh := model(), DataLoader(batch(), 8))
    torch.testing.assert_close(net.student.weight, fresh.student.weight, rtol=1e-12, atol=1e-14)


def test_a_changed_number_of_micro_batches_gives_the_steps_of_whole_batches(tmp_path):
    net, fresh = model(), model()
    change = GradientAccumulationScheduler({0: 2, 1: 4})
    trainer(tmp_path, max_epochs=2, callbacks=[change]).fit(net, DataLoader(batch(), 2))
    trainer(tmp_path, max_epochs=1).fit(fresh, DataLoader(batch(), 4))
    trainer(tmp_path, max_epochs=1).fit(fresh, DataLoader(batch(), 8))
    torch.testing.assert_close(net.student.weight, fresh.student.weight, rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:Swapping scheduler")
def test_weight_averaging_leaves_nothing_to_the_next_fit(tmp_path):
    net = plain_module()
    averaging = StochasticWeightAveraging(0.01, swa_epoch_start=1)
    trainer(tmp_path, max_epochs=3, callbacks=[averaging], accumulate_grad_batches=1).fit(net, loader())
    fresh = plain_module()
    fresh.load_state_dict(net.state_dict())
    for each in (net, fresh):
        trainer(tmp_path, max_steps=1).fit(each, DataLoader(dataset(), 16))
    torch.testing.assert_close(net.student.state_dict(), fresh.student.state_dict())
