import math

import pytest
import torch
import transformers
from lightning.pytorch import Callback
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader, IterableDataset

from lightning_abkd.modules import (
    TransformersLR,
    WarmupConstantLR,
    WarmupCosineLR,
    WarmupLinearLR,
    WholeCycleLR,
)
from tests.training._training import dataset, loader, module, sgd, trainer


class Rates(Callback):
    def __init__(self):
        self.rates = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def followed(tmp_path, schedule, data=None, net=None, interval=None, **options):
    run = trainer(tmp_path, callbacks=[seen := Rates()], **options)
    net = net or module(optimizer=lambda p: sgd(p, lr=1.0), lr_scheduler=schedule, lr_interval=interval)
    run.fit(net, loader() if data is None else data)
    return seen.rates


def test_a_warm_up_and_a_cosine_span_the_training(tmp_path):
    expected = [0.0, 0.5, *(0.5 * (1 + math.cos(math.pi * i / 6)) for i in range(6))]
    assert followed(tmp_path, lambda o: WarmupCosineLR(o, 2)) == pytest.approx(expected)
    assert followed(tmp_path, lambda o: WarmupCosineLR(o, 0.25)) == pytest.approx(expected)


def test_a_line_ends_at_the_lowest_rate(tmp_path):
    rates = followed(tmp_path, lambda o: WarmupLinearLR(o, 0, min_lr_ratio=0.5))
    assert rates == pytest.approx([1 - 0.5 * i / 8 for i in range(8)])


def test_micro_batches_of_a_step_have_one_rate(tmp_path):
    rates = followed(tmp_path, lambda o: WarmupLinearLR(o), accumulate_grad_batches=2)
    assert rates == pytest.approx([1, 1, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25])


def test_an_interval_of_epochs_counts_epochs(tmp_path):
    assert followed(tmp_path, lambda o: WarmupLinearLR(o), interval="epoch") == [1.0] * 4 + [0.5] * 4
    assert followed(tmp_path, lambda o: WarmupConstantLR(o, 2), interval="epoch") == [0.0] * 4 + [0.5] * 4


def test_a_warm_up_alone_needs_no_length(tmp_path):
    class Stream(IterableDataset):
        def __iter__(self):
            return iter(list(dataset()))

    data = DataLoader(Stream(), 8)
    assert followed(tmp_path, lambda o: WarmupConstantLR(o, 4), data)[:6] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert followed(tmp_path, WarmupLinearLR, data, max_steps=4) == [1, 0.75, 0.5, 0.25]
    with pytest.raises(ValueError, match="The learning-rate schedule should know .* data without a length"):
        followed(tmp_path, WarmupCosineLR, data)


@pytest.mark.parametrize("schedule", [WholeCycleLR, lambda o: OneCycleLR(o, 1.0, total_steps=9, cycle_momentum=False)])
def test_a_cycle_goes_up_to_the_rate_and_ends_with_the_training(tmp_path, schedule):
    rates = followed(tmp_path, schedule)
    assert rates[0] == pytest.approx(1 / 25)
    assert max(rates) > 0.9
    assert rates[-1] < 0.1


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("linear", None),
        ("cosine_with_restarts", {"num_cycles": 2}),
        ("cosine_with_min_lr", {"min_lr": 0.25}),
        ("constant", None),
    ],
)
def test_schedules_of_transformers_are_those_of_its_trainer(tmp_path, name, options):
    own = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    right = transformers.get_scheduler(name, own, 2, 8, options)
    expected = []
    for _ in range(8):
        expected.append(own.param_groups[0]["lr"])
        own.step()
        right.step()
    assert followed(tmp_path, lambda o: TransformersLR(o, name, 2, options=options)) == pytest.approx(expected)


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler")
@pytest.mark.parametrize("schedule", [lambda o: WarmupCosineLR(o, 2), WholeCycleLR, TransformersLR])
def test_a_run_that_is_resumed_to_another_length_follows_that(tmp_path, schedule):
    net = module(optimizer=lambda p: sgd(p, lr=1.0), lr_scheduler=schedule)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(net, loader())
    run.save_checkpoint(path := tmp_path / "one.ckpt")
    rates = []
    longer = trainer(tmp_path, callbacks=[seen := Rates()], max_epochs=3)
    longer.fit(module(optimizer=lambda p: sgd(p, lr=1.0), lr_scheduler=schedule), loader(), ckpt_path=path)
    rates = seen.rates
    assert rates[1:] == pytest.approx(followed(tmp_path, schedule, max_epochs=3)[5:])
