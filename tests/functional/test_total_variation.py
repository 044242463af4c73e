import torch

from lightning_abkd.functional import total_variation
from tests._asserts import assert_divergence


def test_is_a_divergence():
    assert_divergence(total_variation)


def test_disjoint_distributions_are_at_distance_one():
    assert total_variation(torch.tensor([1.0, 0.0]).log(), torch.tensor([0.0, 1.0]).log()).item() == 1.0
