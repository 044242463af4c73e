import torch
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR

from lightning_abkd.training._optimizers import Optimizers
from tests.training._training import sgd


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
