import torch

from lightning_abkd import models
from tests.vision.models._networks import parameters, shapes


def test_parameter_count_is_that_of_the_architecture():
    # At 100 classes, counted by hand: ei + 9e + eo + 4e + 2o for each block from i over e to o channels, the stem
    # 432 + 32, the last 1×1 204,800 + 2,560, the head 128,100. Known as 0.81 million.
    assert parameters(models.mobilenetv2) == 812_836


def test_parameters_have_the_names_of_repdistiller():
    found = shapes(models.mobilenetv2)
    assert list(found)[:2] == ["conv1.0.weight", "conv1.1.weight"]
    assert list(found)[-2:] == ["classifier.0.weight", "classifier.0.bias"]
    assert found["blocks.0.0.conv.0.weight"] == (16, 16, 1, 1)
    assert found["blocks.6.0.conv.3.weight"] == (480, 1, 3, 3)
    assert found["blocks.6.0.conv.7.running_var"] == (160,)
    assert found["conv2.0.weight"] == (1280, 160, 1, 1)


def test_small_images_end_as_maps_of_two_by_two():
    network = models.mobilenetv2().eval()
    with torch.no_grad():
        assert network.maps(torch.randn(1, 3, 32, 32)).shape == (1, 1280, 2, 2)
