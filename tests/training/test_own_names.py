import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lightning_abkd.training._own_names import (
    below,
    first_names,
    own_names,
    own_state,
    prefixed,
    stripped_names,
    unwrap,
)


def network():
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


WRAPS = {
    "compiled": torch.compile,
    "parallel": nn.DataParallel,
    "averaged": AveragedModel,
    "averaged of compiled": lambda net: AveragedModel(torch.compile(net)),
    "compiled of parallel": lambda net: torch.compile(nn.DataParallel(net)),
}


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_a_wrapped_network_has_its_own_names(wrap):
    assert list(own_state(wrap(network()))) == list(network().state_dict())


@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_a_wrapped_part_has_its_own_names(wrap):
    assert list(own_state(nn.Sequential(wrap(network())))) == list(nn.Sequential(network()).state_dict())


class Honest(nn.Module):
    def __init__(self):
        super().__init__()
        self.module = nn.Linear(2, 2)
        self.weight = nn.Parameter(torch.ones(2, 2))
        self.model = nn.DataParallel(nn.Linear(2, 2, bias=False))
        self.register_buffer("n_averaged", torch.tensor(1))


def test_an_honest_attribute_keeps_its_name():
    assert set(own_state(Honest())) == {"module.weight", "module.bias", "weight", "model.weight", "n_averaged"}
    assert unwrap(Honest()).module.weight.shape == (2, 2)


def test_a_class_of_the_users_that_extends_a_wrapper_is_one():
    class Parallel(nn.DataParallel):
        pass

    net = network()
    assert unwrap(torch.compile(Parallel(net))) is net


def test_names_of_wrappers_alone_are_left_out():
    assert own_names(AveragedModel(network()), ["n_averaged", "module.0.weight"]) == {"module.0.weight": "0.weight"}


def test_in_place_compilation_changes_no_names():
    net = network()
    net.compile()
    assert list(own_state(net)) == list(network().state_dict())


def test_one_tensor_under_two_parameters_is_found():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = nn.Parameter(net[0].weight.data)
    assert first_names(net.state_dict()) == {"0.weight": "0.weight", "1.weight": "0.weight"}


def test_slices_and_empty_tensors_are_their_own():
    memory = torch.zeros(4)
    parts = {"all": memory, "half": memory[:2], "rest": memory[2:], "none": memory[:0], "other": memory[:0]}
    assert first_names(parts) == {name: name for name in parts}


def test_sparse_and_meta_tensors_have_a_place():
    values = {"sparse": torch.eye(2).to_sparse(), "meta": torch.empty(2, device="meta")}
    assert first_names(values) == {name: name for name in values}


def test_parts_of_wrappers_leave_a_name():
    compiled, both = stripped_names(["0.weight"])
    assert compiled.by_stripped("_orig_mod.0.weight") == both.by_stripped("0._orig_mod.module.weight") == "0.weight"
    assert compiled.by_stripped("module.0.weight") is None


def test_a_part_that_tells_weights_apart_stays():
    (compiled,) = stripped_names(["module.weight", "weight"])
    assert compiled.by_stripped("_orig_mod.module.weight") == "module.weight"


def test_a_prefix_goes_and_comes():
    weights = {"a.x": 1, "b.x": 2}
    assert prefixed("a.", below(weights, "a.")) == {"a.x": 1}
