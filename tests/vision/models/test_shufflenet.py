import pytest
import torch

from lightning_abkd import models
from lightning_abkd.vision.models._shufflenet import _shuffle
from tests.vision.models._networks import parameters, shapes


@pytest.mark.parametrize(
    ("name", "count"),
    # At 100 classes, counted by hand: ab / groups for each 1×1 from a to b channels, 9b for each 3×3, 2b for each
    # normalisation, dC + C for the head. Known as 0.95 and 1.36 million.
    [("shufflenetv1", 949_258), ("shufflenetv2", 1_355_528)],
)
def test_parameter_counts_are_those_of_the_architectures(name, count):
    assert parameters(getattr(models, name)) == count


def test_parameters_of_v1_have_the_names_of_repdistiller():
    found = shapes(models.shufflenetv1)
    assert list(found)[:2] == ["conv1.weight", "bn1.weight"]
    assert list(found)[-2:] == ["linear.weight", "linear.bias"]
    assert found["layer1.0.conv1.weight"] == (54, 24, 1, 1)
    assert found["layer1.1.conv1.weight"] == (60, 80, 1, 1)
    assert found["layer3.3.conv3.weight"] == (960, 80, 1, 1)
    assert found["linear.weight"] == (100, 960)


def test_parameters_of_v2_have_the_names_of_repdistiller():
    found = shapes(models.shufflenetv2)
    assert list(found)[:2] == ["conv1.weight", "bn1.weight"]
    assert list(found)[-2:] == ["linear.weight", "linear.bias"]
    assert found["layer1.0.conv1.weight"] == (24, 1, 3, 3)
    assert found["layer1.0.bn5.bias"] == (58,)
    assert found["layer2.7.conv3.weight"] == (116, 116, 1, 1)
    assert found["conv2.weight"] == (1024, 464, 1, 1)


def test_shuffling_deals_the_groups_out_in_turn():
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert _shuffle(x, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]
    assert torch.equal(_shuffle(_shuffle(x, 2), 3), x)


@pytest.mark.parametrize("name", ["shufflenetv1", "shufflenetv2"])
def test_small_images_end_as_maps_of_four_by_four(name):
    network = getattr(models, name)().eval()
    with torch.no_grad():
        assert network.maps(torch.randn(1, 3, 32, 32)).shape[2:] == (4, 4)
