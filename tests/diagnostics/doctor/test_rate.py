import math

import pytest
import torch

from lightning_abkd.diagnostics.doctor import check
from lightning_abkd.diagnostics.doctor._rate import Trial, learning_rate
from lightning_abkd.modules import WarmupCosineLR
from tests.diagnostics.doctor._patients import loader, module, quiet


def judged(*losses, step=1.0, **options):
    return learning_rate(Trial(0.1, list(losses), step, **options))


@pytest.mark.parametrize("losses", [(2.0, 1.5), (2.0, 14.0, 1.0), (0.001, 0.5)])
def test_losses_that_fall_or_waver_are_green(losses):
    assert judged(*losses).state == "green"


@pytest.mark.parametrize("losses", [(2.0, 50.0), (2.0, math.inf), (2.0, math.nan, 1.0)])
def test_losses_that_explode_are_red(losses):
    assert judged(*losses).text.startswith("Learning rate that explodes: ")


def test_a_spike_after_short_steps_is_no_explosion():
    assert not judged(2.0, 40.0, 2.0, step=0.01).is_red
    assert judged(2.0, 400.0, step=0.01).is_red


def test_a_step_longer_than_the_weights_is_red_where_the_loss_is_bounded():
    assert "is 20 times as long as the weights" in judged(0.5, 0.9, step=20.0).text


def test_steps_that_stop_are_red_and_none_are_not_checked():
    assert judged(1.0, stopped="The loss is NaN").is_red
    assert learning_rate(None).state == "not checked"


def test_a_rate_of_0_is_red():
    assert learning_rate(Trial(0.0, [2.0, 2.0])).text == "Learning rate 0: a step changes no weight."
    assert learning_rate(Trial(0.0, [2.0], stopped="The loss is NaN")).text.startswith("Learning rate that explodes")


def test_the_largest_rate_of_a_warm_up_is_tried():
    model = module(
        optimizer=lambda weights: torch.optim.SGD(weights, 1e5),
        lr_scheduler=lambda optimizer: WarmupCosineLR(optimizer, warmup_steps=5),
    )
    found = {finding.name: finding for finding in check(model, loader(), quiet())}["learning rate"]
    assert "lr = 100000" in found.text
    assert found.is_red
