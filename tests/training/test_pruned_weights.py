import torch
from torch import nn
from torch.nn.utils import prune

from lightning_abkd.training._pruned_weights import with_masks_applied

PLAIN = ["0.weight", "0.bias"]


def pruned():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3))
    prune.l1_unstructured(network[0], "weight", 0.5)
    return network


def test_masks_are_applied_as_torch_removes_them():
    found = with_masks_applied(pruned().state_dict(), PLAIN)
    network = pruned()
    prune.remove(network[0], "weight")
    assert found.keys() == network.state_dict().keys()
    assert found["0.weight"].equal(network.state_dict()["0.weight"])


def test_a_pruned_network_takes_its_masks():
    weights = pruned().state_dict()
    assert with_masks_applied(weights, pruned().state_dict()).keys() == weights.keys()


def test_names_that_are_no_pair_stay():
    weights = {"attn_mask": torch.ones(2), "a_orig": torch.ones(2), "b_orig": torch.ones(2), "b_mask": torch.ones(3)}
    assert with_masks_applied(weights, PLAIN) == weights
