import torch
from torch import nn

from lightning_abkd.diagnostics.doctor._state import State


class Counted(nn.Linear):
    count = 0

    def get_extra_state(self):
        return torch.tensor(self.count)

    def set_extra_state(self, state):
        self.count = int(state)


def test_everything_that_a_step_changes_comes_back():
    network = nn.Sequential(Counted(2, 2), nn.BatchNorm1d(2)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    state = State.of(network)
    network.train()(torch.randn(4, 2)).sum().backward()
    torch.optim.SGD(network.parameters(), 1.0).step()
    network[0].count = 5
    state.restore(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert not network[1].training
    assert network[0].weight.grad is None
