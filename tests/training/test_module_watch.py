from contextlib import contextmanager

import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules_of_torch

from lightning_abkd.training._module_watch import ModuleWatch
from tests.field._networks import gpt2


class Failing(nn.Module):
    """Multiplies by a number, and its gradient by another one."""

    def __init__(self, forward=1.0, backward=1.0):
        super().__init__()
        self.factors = (forward, backward)

    def forward(self, x):
        forward, backward = self.factors
        y = x * forward
        return _Scaled.apply(y, backward)


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


@contextmanager
def watching(**networks):
    watch = ModuleWatch(lambda: networks)
    watch.start()
    try:
        yield watch
    finally:
        watch.stop()


def stack(*layers):
    return nn.Sequential(nn.Linear(2, 2), *layers, nn.ReLU(inplace=True), nn.Linear(2, 2))


def test_the_first_module_is_named_and_not_those_after_it():
    network = stack(nn.Sequential(nn.Identity(), Failing(torch.inf)))
    with watching(student=network) as watch:
        network(torch.ones(1, 2))
    assert watch.first_output() == "the student's `1.1` (Failing)"


def test_networks_are_told_apart_by_call_order():
    teacher, student = stack(Failing(torch.nan)), stack(Failing(torch.nan))
    with watching(student=student, teacher=teacher, other=None) as watch:
        teacher(torch.ones(1, 2))
        student(torch.ones(1, 2))
    assert watch.first_output() == "the teacher's `1` (Failing)"


def test_a_network_whose_parts_are_right_is_named_itself():
    class Network(nn.Linear):
        def forward(self, x):
            return super().forward(x) / 0

    network = Network(2, 2)
    with watching(student=network) as watch:
        network(torch.ones(1, 2))
    assert watch.first_output() == "the student (Network)"


def test_bad_inputs_are_no_fault_of_a_module_and_masks_are_no_bad_inputs():
    layer = Failing(torch.nan)
    with watching(student=layer) as watch:
        layer(torch.tensor([torch.nan]))
        assert watch.first_output() == ""
        layer(torch.tensor([-torch.inf]))
    assert watch.first_output() == "the student (Failing)"


def test_outputs_and_inputs_may_be_nested():
    class Pair(nn.Module):
        def forward(self, *, x):
            return {"a": [x, "text"], "b": (x["y"] / 0,)}

    network = Pair()
    with watching(student=network) as watch:
        network(x={"y": torch.ones(1)})
    assert watch.first_output() == "the student (Pair)"


@pytest.mark.parametrize("inner", [Failing(1.0, torch.nan), nn.Sequential(nn.Identity(), Failing(1.0, torch.inf))])
def test_the_first_module_of_the_backward_pass_is_named(inner):
    network = stack(inner)
    with watching(student=network) as watch:
        network(torch.ones(1, 2)).sum().backward()
    assert watch.first_gradient().startswith("the student's `1")
    assert watch.first_gradient().endswith("(Failing)")
    assert watch.first_output() == ""


def test_a_parameter_of_its_own_may_be_where_a_gradient_goes_wrong():
    network = stack()
    network[2].weight.register_hook(lambda gradient: gradient * torch.nan)
    with watching(student=network) as watch:
        network(torch.ones(1, 2)).sum().backward()
    assert watch.first_gradient() == "the student's `2` (Linear)"


def test_a_gradient_that_the_loss_gives_is_the_loss():
    network = stack()
    with watching(student=network) as watch:
        (network(torch.ones(1, 2)) * torch.nan).sum().backward()
    assert watch.first_gradient() == "the loss"


def test_a_right_gradient_and_no_gradient_name_nothing():
    network = stack()
    with watching(student=network) as watch:
        network(torch.ones(1, 2)).sum().backward()
        assert watch.first_gradient() == ""
        watch.begin()
        network(torch.ones(1, 2))
        assert watch.first_gradient() == ""


def test_layers_of_transformers_are_named():
    network = gpt2()
    with torch.no_grad():
        network.transformer.h[0].mlp.c_fc.weight[0, 0] = torch.inf
    with watching(student=network) as watch:
        network(input_ids=torch.ones(1, 3, dtype=torch.int64))
    assert watch.first_output() == "the student's `transformer.h.0.mlp.c_fc` (Conv1D), whose `weight` is not finite"


def test_no_hook_is_left_after_it_and_none_but_one_while_it_watches():
    network = stack()
    with watching(student=network) as watch:
        watch.start()
        assert len(modules_of_torch._global_forward_hooks) == 1
        assert not any(part._forward_hooks for part in network.modules())
        nn.ReLU()(torch.ones(1))
    assert not modules_of_torch._has_any_global_hook()
    watch.stop()
