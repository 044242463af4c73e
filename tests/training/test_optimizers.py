import pytest
import torch
from lightning.pytorch import cli
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau, StepLR

from lightning_abkd.training._optimizers import Optimizers
from tests.training._training import loader, module, sgd, trainer


def test_frozen_parameters_are_left_out():
    network = nn.Linear(2, 3)
    network.bias.requires_grad_(False)
    optimizer = Optimizers(sgd, None, "epoch", "val/loss").build(network)
    assert [group["params"] for group in optimizer.param_groups] == [[network.weight]]


def test_schedule_has_its_interval_and_monitor():
    options = Optimizers(torch.optim.Adam, lambda optimizer: ReduceLROnPlateau(optimizer), "step", "val/accuracy")
    built = options.build(nn.Linear(2, 3))
    assert built["lr_scheduler"]["interval"] == "step"
    assert built["lr_scheduler"]["monitor"] == "val/accuracy"
    assert built["lr_scheduler"]["scheduler"].optimizer is built["optimizer"]


def test_rate_follows_the_schedule():
    built = Optimizers(sgd, lambda optimizer: StepLR(optimizer, 1, 0.5), "epoch", "").build(nn.Linear(2, 3))
    built["optimizer"].step()
    built["lr_scheduler"]["scheduler"].step()
    assert built["optimizer"].param_groups[0]["lr"] == 0.05


def plateau(tmp_path, schedule, **options):
    net = module(lr_scheduler=schedule, **{k: options.pop(k) for k in ("lr_monitor",) if k in options})
    run = trainer(tmp_path, **options)
    run.fit(net, loader(), loader(seed=1))
    return run.lr_scheduler_configs[0]


def test_a_plateau_watches_what_it_names_itself(tmp_path):
    def own(optimizer):
        return cli.ReduceLROnPlateau(optimizer, "val/accuracy")

    assert plateau(tmp_path, own).monitor == "val/accuracy"
    with pytest.raises(ValueError, match="Only one of `lr_monitor` and the scheduler's `monitor`"):
        plateau(tmp_path, own, lr_monitor="train/loss")


def test_a_plateau_moves_where_there_is_a_new_value(tmp_path):
    assert plateau(tmp_path, ReduceLROnPlateau, check_val_every_n_epoch=2).frequency == 2
    assert plateau(tmp_path, ReduceLROnPlateau, lr_monitor="train/loss", limit_val_batches=0).frequency == 1
    with pytest.raises(ValueError, match="Found `lr_monitor = 'val/loss'` and no validation"):
        plateau(tmp_path, ReduceLROnPlateau, limit_val_batches=0)


def test_batches_move_the_schedules_of_torch_that_count_them():
    options = Optimizers(sgd, lambda o: OneCycleLR(o, 0.1, total_steps=9), None, "")
    assert options.build(nn.Linear(2, 3))["lr_scheduler"]["interval"] == "step"
    assert (
        Optimizers(sgd, lambda o: StepLR(o, 1), None, "").build(nn.Linear(2, 3))["lr_scheduler"]["interval"] == "epoch"
    )


def test_a_rate_without_effect_is_said(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr("lightning_abkd.training._optimizers.rank_zero_info", said.append)
    Optimizers(sgd, lambda o: OneCycleLR(o, 0.5, total_steps=9), None, "").build(nn.Linear(2, 3))
    assert "OneCycleLR takes its own `max_lr = 0.5`; the optimizer's `lr = 0.1` has no effect" in said[0]
