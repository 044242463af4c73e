import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, ExponentialLR, LambdaLR, LinearLR, SequentialLR

from lightning_abkd.modules import ProductLR, SequenceLR, WarmupConstantLR, WarmupLinearLR
from tests.training.test_learning_rate import optimizer, rates
from tests.training.test_lr_schedules import followed

PARTS = [lambda o: LinearLR(o, 0.5, total_iters=2), lambda o: ExponentialLR(o, 0.5)]


def test_a_sequence_is_that_of_torch():
    built, expected = optimizer(1.0), optimizer(1.0)
    right = SequentialLR(expected, [part(expected) for part in PARTS], [2])
    assert rates(built, SequenceLR(built, PARTS, [2])) == rates(expected, right)


def test_a_product_is_that_of_torch():
    built, expected = optimizer(1.0), optimizer(1.0)
    right = ChainedScheduler([part(expected) for part in PARTS], expected)
    assert rates(built, ProductLR(built, PARTS)) == rates(expected, right)


@pytest.mark.filterwarnings("ignore:The epoch parameter in `scheduler.step")
def test_parts_that_know_the_length_span_their_own(tmp_path):
    parts = [lambda o: WarmupConstantLR(o, 0.999), WarmupLinearLR]
    rates = followed(tmp_path, lambda o: SequenceLR(o, parts, [4]))
    assert rates == pytest.approx([0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25])


def test_a_product_refuses_what_would_undo_the_others():
    with pytest.raises(ValueError, match="should hold schedules that multiply the rate. Found LambdaLR, which sets it"):
        ProductLR(optimizer(1.0), [*PARTS, lambda o: LambdaLR(o, lambda step: 1.0)])


def test_milestones_lie_between_schedules():
    with pytest.raises(ValueError, match="one number fewer than `schedulers`. Found 2 milestones and 2 schedules"):
        SequenceLR(torch.optim.SGD([torch.zeros(1)], lr=1.0), PARTS, [1, 2])
