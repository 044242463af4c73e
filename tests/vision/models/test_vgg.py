import pytest
import torch

from lightning_abkd import models
from tests.vision.models._networks import parameters, shapes


@pytest.mark.parametrize(
    ("name", "count"),
    # At 100 classes, counted by hand: 9ab + 3b for each convolution from a to b channels with bias and normalisation,
    # and 512 · 100 + 100. Known as 3.97 million for VGG-8 and 9.46 for VGG-13.
    [("vgg8", 3_965_028), ("vgg11", 9_277_284), ("vgg13", 9_462_180), ("vgg16", 14_774_436), ("vgg19", 20_086_692)],
)
def test_parameter_counts_are_those_of_the_architectures(name, count):
    assert parameters(getattr(models, name)) == count


def test_parameters_have_the_names_of_repdistiller():
    found = shapes(models.vgg13)
    assert list(found)[:3] == ["block0.0.weight", "block0.0.bias", "block0.1.weight"]
    assert list(found)[-2:] == ["classifier.weight", "classifier.bias"]
    assert found["block4.3.weight"] == (512, 512, 3, 3)
    assert found["block4.4.running_mean"] == (512,)
    assert found["classifier.weight"] == (100, 512)


def test_biases_of_the_convolutions_start_at_zero():
    network = models.vgg8()
    assert not network.block0[0].bias.any()
    assert not network.block4[0].bias.any()


def test_maps_are_halved_three_times_and_once_more_from_64_pixels_on():
    network = models.vgg8().eval()
    with torch.no_grad():
        assert network.maps(torch.randn(1, 3, 32, 32)).shape == (1, 512, 4, 4)
        assert network.maps(torch.randn(1, 3, 64, 64)).shape == (1, 512, 4, 4)
        assert network.maps(torch.randn(1, 3, 64, 128)).shape == (1, 512, 4, 8)


def test_images_that_are_too_small_to_be_halved_three_times_are_refused():
    with pytest.raises(ValueError, match=r"8 pixels or more on each side for VGG. Found \(2, 3, 7, 32\)"):
        models.vgg8()(torch.zeros(2, 3, 7, 32))


@pytest.mark.parametrize(("height", "width"), [(32, 64), (8, 128), (64, 96)])
def test_a_picture_that_lies_on_its_side_is_treated_as_one_that_stands(height, width):
    with torch.device("meta"):
        network = models.vgg8()
        lying = network.maps(torch.empty(1, 3, height, width)).shape
        standing = network.maps(torch.empty(1, 3, width, height)).shape
    assert lying == (*standing[:2], standing[3], standing[2])
