from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lightning_abkd.training._evidence import Look, largest
from lightning_abkd.training._step_judge import StepJudge
from tests.training._training import module, trainer


@pytest.fixture
def net(tmp_path):
    net = module()
    net.trainer = trainer(tmp_path)
    net.trainer.strategy.connect(net)
    return net


def look(loss, batch_idx=0):
    signals = {"student_logits": torch.tensor([[0.0, loss]])}
    return Look((torch.ones(1, 5),), batch_idx, {"loss": torch.tensor(loss)}, lambda: largest(signals))


def judged(net, *losses, stops=False):
    judge = StepJudge(saves_batches=False)
    judge.begin_batch(net.trainer, 0, net)
    for i, loss in enumerate(losses):
        judge.look(net, look(loss, i), stops, holds_logits=True)
    return judge, judge.verdict(net, torch.optim.SGD(net.student.parameters(), lr=1.0))


def test_a_step_of_finite_numbers_is_right(net):
    judge, said = judged(net, 1.0, 2.0)
    assert said == ""
    assert judge.verdict(net, torch.optim.SGD(net.parameters(), lr=1.0)) == ""


def test_the_first_wrong_micro_batch_is_named(net):
    assert "The student's logits contain NaN at step 0 (epoch 0, batch 1)" in judged(net, 1.0, torch.nan, torch.inf)[1]


def test_a_step_that_nobody_looked_at_is_not_judged(net):
    net.student[0].weight.grad = torch.full_like(net.student[0].weight, torch.nan)
    assert judged(net)[1] == ""
    assert "The gradient of `student.0.weight` contains NaN" in judged(net, 1.0)[1]


def test_a_wrong_batch_stops_at_once_if_asked_to(net):
    with pytest.raises(FloatingPointError, match="contain inf"):
        judged(net, 1.0, torch.inf, stops=True)


def test_on_other_devices_a_batch_is_not_waited_for(net):
    judge = StepJudge(saves_batches=False)
    judge.begin_batch(net.trainer, 0, None)
    seen = look(torch.nan)
    elsewhere = SimpleNamespace(device=torch.device("meta"))
    judge.look(elsewhere, seen, stops=False, holds_logits=True)
    assert seen.found is None
    assert list(seen.rows()) == ["student_logits"]
    assert "The student's logits contain NaN" in judge.verdict(net, torch.optim.SGD(net.parameters(), lr=1.0))


def test_a_step_that_is_left_out_has_no_gradient_and_its_buffers_again(net):
    judge = StepJudge(saves_batches=False)
    judge.begin_batch(net.trainer, 0, net)
    net.student(torch.full((4, 5), torch.nan)).sum().backward()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    judge.leave_out(net.trainer, optimizer)
    assert all(parameter.grad is None for parameter in net.parameters())
    norm = net.student[1]
    assert isinstance(norm, nn.BatchNorm1d)
    assert norm.running_mean.eq(0).all()


def test_the_first_wrong_loss_of_batches_that_were_passed_by_is_named(net):
    judge = StepJudge(saves_batches=False)
    for step, loss in enumerate((0.0, torch.inf, torch.nan)):
        judge.pass_by(SimpleNamespace(world_size=1, global_step=step), torch.tensor(loss))
    judge.look(net, look(torch.nan), stops=False, holds_logits=True)
    said = judge.verdict(net, torch.optim.SGD(net.parameters(), lr=1.0))
    assert said.endswith("The first loss that is not finite is that of step 1.")
    judge.begin_fit(net.trainer)
    judge.look(net, look(torch.nan), stops=False, holds_logits=True)
    assert "The first loss" not in judge.verdict(net, torch.optim.SGD(net.parameters(), lr=1.0))


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_batch_that_is_passed_by_keeps_what_other_ranks_wait_for(net, ranks):
    judge = StepJudge(saves_batches=False)
    judge.look(net, look(torch.nan), stops=False, holds_logits=True)
    judge.pass_by(SimpleNamespace(world_size=ranks, global_step=0), torch.tensor(0.0))
    assert bool(judge.verdict(net, torch.optim.SGD(net.parameters(), lr=1.0))) == (ranks == 2)
