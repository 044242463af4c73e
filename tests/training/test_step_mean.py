from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.strategies import DeepSpeedStrategy
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.modules import DistillationModule
from lightning_abkd.training._step_mean import StepMean
from tests.training._training import trainer

CLASSES = 5


class Masked(DistillationModule):
    """Sequences with a ragged mask; the task loss counts the same positions."""

    def signals(self, batch):
        inputs, labels = batch
        signals = super().signals((inputs, labels))
        return signals | {"mask": labels != -100}

    def task_loss(self, signals):
        logits, labels = signals["student_logits"].flatten(0, 1), signals["labels"].flatten()
        total = nn.functional.cross_entropy(logits, labels, reduction="sum")
        return total / signals["mask"].sum().clamp(min=1)


def batch():
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(8, 6, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (8, 6), generator=generator)
    for row, length in enumerate([6, 1, 3, 0, 5, 2, 6, 4]):
        labels[row, length:] = -100
    return TensorDataset(inputs, labels)


def linear(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Linear(4, CLASSES).double()


def model():
    loss = AlphaBetaDivergence(0.8, 0.3)
    return Masked(linear(1), linear(2), loss, optimizer=lambda p: torch.optim.SGD(p, lr=1.0))


def step(tmp_path, size, micro, **options):
    net = model()
    run = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=micro, **options)
    run.fit(net, DataLoader(batch(), size))
    return net.student.weight.detach()


@pytest.mark.parametrize(("size", "micro"), [(4, 2), (2, 4), (1, 8), (3, 3), (8, 5), (2, 16)])
@pytest.mark.parametrize("clip", [None, 0.01])
def test_micro_batches_give_the_step_of_the_whole_batch(tmp_path, size, micro, clip):
    whole = step(tmp_path, 8, 1, gradient_clip_val=clip)
    torch.testing.assert_close(step(tmp_path, size, micro, gradient_clip_val=clip), whole, rtol=1e-12, atol=1e-14)


def test_step_is_that_of_the_mean_over_counted_positions(tmp_path):
    net = model()
    signals = net.signals(batch().tensors)
    sum(weight * term for weight, term in net.losses(signals).values()).backward()
    expected = net.student.weight.detach() - net.student.weight.grad
    torch.testing.assert_close(step(tmp_path, 2, 4), expected, rtol=1e-12, atol=1e-14)


def test_a_step_without_counted_positions_changes_nothing(tmp_path):
    inputs, labels = batch().tensors
    net = model()
    before = net.student.weight.detach().clone()
    data = DataLoader(TensorDataset(inputs, torch.full_like(labels, -100)), 4)
    trainer(tmp_path, max_epochs=1).fit(net, data)
    torch.testing.assert_close(net.student.weight.detach(), before)


@pytest.mark.filterwarnings("ignore:.*does not have many workers.*")
def test_two_ranks_give_the_step_of_one(tmp_path):
    whole = step(tmp_path, 8, 1)
    net = model()
    run = trainer(
        tmp_path, max_epochs=1, devices=2, strategy="ddp_fork", accumulate_grad_batches=2, use_distributed_sampler=True
    )
    run.fit(net, DataLoader(batch(), 2))
    torch.testing.assert_close(net.student.weight.detach(), whole, rtol=1e-12, atol=1e-14)


def keeping_strategy(accumulate):
    """A trainer whose strategy keeps gradients to itself, as DeepSpeed's does; it needs a GPU to run."""
    strategy = object.__new__(DeepSpeedStrategy)
    strategy.parallel_devices, strategy.cluster_environment = [torch.device("cpu")], None
    return SimpleNamespace(strategy=strategy, accumulate_grad_batches=accumulate, world_size=1)


def test_what_a_strategy_keeps_has_its_weight_before_the_backward_pass():
    mean = torch.tensor(3.0, requires_grad=True)
    loss = StepMean().add(mean, torch.tensor(4), 10, keeping_strategy(1))
    loss.backward()
    assert (loss.item(), mean.grad.item()) == (3.0, 1.0)


def test_micro_batches_that_a_strategy_weights_equally_have_to_count_equally_many():
    step, run = StepMean(), keeping_strategy(2)
    for count in (4, torch.tensor(4)):
        step.add(torch.tensor(3.0), count, 10, run)
    with pytest.raises(ValueError, match=r"DeepSpeedStrategy .* Found 4 and 3\. Set `trainer.accumulate"):
        step.add(torch.tensor(3.0), 3, 10, run)
    step.start_step()
    step.add(torch.tensor(3.0), 3, 10, run)
