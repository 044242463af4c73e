import pytest
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch.utils.data import DataLoader, IterableDataset

from lightning_abkd.training._length import training_length
from tests.training._training import dataset, loader, module, trainer


class Stream(IterableDataset):
    def __iter__(self):
        return iter(list(dataset()))


class Lengths(Callback):
    """What is computed at the start of a fit, and how many steps there were."""

    def __init__(self, interval):
        self.interval = interval

    def on_fit_start(self, trainer, pl_module):
        self.length = training_length(trainer, self.interval, "It")

    def on_train_batch_end(self, trainer, pl_module, *_):
        # No fit starts over while it runs.
        assert training_length(trainer, self.interval, "It") == self.length


def length(tmp_path, interval, data, **options):
    callbacks = [found := Lengths(interval), *options.pop("callbacks", [])]
    run = trainer(tmp_path, callbacks=callbacks, **options)
    run.fit(module(), data)
    return found.length, run.global_step, run.current_epoch


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, 8),
        ({"accumulate_grad_batches": 3}, 4),
        ({"max_steps": 5}, 5),
        ({"max_epochs": -1, "max_steps": 5}, 5),
        ({"limit_train_batches": 0.5}, 4),
        ({"limit_train_batches": 0}, 0),
        ({"overfit_batches": 1}, 2),
        ({"fast_dev_run": 3}, 3),
        ({"max_time": "00:01:00:00"}, 8),
        ({"callbacks": [GradientAccumulationScheduler({0: 1, 1: 4})]}, 5),
    ],
)
def test_steps_are_those_that_are_taken(tmp_path, options, steps):
    assert length(tmp_path, "step", loader(), **options)[:2] == (steps, steps)


def test_epochs_follow_from_max_steps_and_the_data(tmp_path):
    assert length(tmp_path, "epoch", loader(), max_epochs=-1, max_steps=10) == (3, 10, 3)
    assert length(tmp_path, "epoch", loader(), max_epochs=2, max_steps=100)[0] == 2


def test_data_without_a_length_need_max_steps_alone(tmp_path):
    data = DataLoader(Stream(), 8)
    assert length(tmp_path, "step", data, max_steps=6)[0] == 6
    assert length(tmp_path, "step", data, max_epochs=-1, max_steps=6)[0] == 6
    assert length(tmp_path, "epoch", data)[0] == 2


@pytest.mark.parametrize(
    ("interval", "options", "message"),
    [
        ("step", {}, "Found training data without a length. Set trainer.max_steps, or count epochs"),
        ("epoch", {"max_epochs": -1, "max_steps": 4}, "Found training data without a length. Set trainer.max_epochs"),
        ("step", {"max_epochs": None, "max_time": "00:01:00:00"}, "Found one that only `max_time` ends. Set trainer"),
        ("epoch", {"max_epochs": -1}, "Found an endless trainer. Set trainer.max_epochs or trainer.max_steps"),
    ],
)
def test_what_is_missing_is_named(tmp_path, interval, options, message):
    with pytest.raises(ValueError, match=message):
        length(tmp_path, interval, DataLoader(Stream(), 8), **options)
