import pytest
import torch
from torch import nn

from lightning_abkd.models import eval_mode


def test_modes_come_back_also_after_an_error():
    network = nn.Sequential(nn.Dropout().train(), nn.Dropout().eval()).train()
    network[1].eval()
    inside = []

    def fail():
        with eval_mode(network):
            inside.extend(module.training for module in network.modules())
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert not any(inside)
    assert [module.training for module in network.modules()] == [True, True, False]


def test_nothing_inside_has_a_gradient():
    network = nn.Linear(2, 2)
    with eval_mode(network):
        assert not network(torch.ones(2)).requires_grad
    assert network(torch.ones(2)).requires_grad
