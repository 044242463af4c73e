import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, OneCycleLR, SequentialLR

from lightning_abkd.training._learning_rate import learning_rate, set_learning_rate


def optimizer(*rates):
    return torch.optim.SGD([{"params": [torch.zeros(1)], "lr": rate} for rate in rates])


def rates(built, scheduler, steps=4):
    found = []
    for _ in range(steps):
        found.append([group["lr"] for group in built.param_groups])
        built.step()
        scheduler.step()
    return found


def sequential(built):
    return SequentialLR(built, [LinearLR(built, 0.5, total_iters=2), CosineAnnealingLR(built, 4)], [2])


def test_groups_keep_their_proportions():
    built = optimizer(0.1, 0.02)
    set_learning_rate(built, [], 0.5)
    assert [group["lr"] for group in built.param_groups] == pytest.approx([0.5, 0.1])


def test_a_rate_of_zero_becomes_the_new_one():
    built = optimizer(0.0, 0.0)
    set_learning_rate(built, [], 0.5)
    assert [group["lr"] for group in built.param_groups] == [0.5, 0.5]


def cycle(built):
    return OneCycleLR(built, [group["lr"] for group in built.param_groups], 8)


@pytest.mark.parametrize("schedule", [sequential, lambda built: CosineAnnealingLR(built, 4), cycle])
def test_a_schedule_goes_on_as_if_it_had_been_built_at_the_rate(schedule):
    built, expected = optimizer(0.1, 0.02), optimizer(0.5, 0.1)
    scheduler, right = schedule(built), schedule(expected)
    set_learning_rate(built, [scheduler], 0.5)
    assert learning_rate(built) == pytest.approx(0.5)
    for found, wanted in zip(rates(built, scheduler), rates(expected, right), strict=True):
        assert found == pytest.approx(wanted)
