import pytest
import torch

from lightning_abkd import models


@pytest.mark.parametrize(
    ("name", "parameters"),
    # As published with RepDistiller's checkpoints, at 100 classes; six layers more of the narrow ones are 97,216 more.
    [
        ("resnet8x4", 1_233_540),
        ("resnet32x4", 7_433_860),
        ("resnet8", 83_892),
        ("resnet14", 181_108),
        ("resnet20", 278_324),
        ("resnet32", 472_756),
        ("resnet44", 667_188),
        ("resnet56", 861_620),
        ("resnet110", 1_736_564),
    ],
)
def test_parameter_counts_are_the_published_ones(name, parameters):
    with torch.device("meta"):
        network = getattr(models, name)()
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_parameters_have_the_names_of_repdistiller():
    names = set(models.resnet8x4().state_dict())
    expected = {"conv1.weight", "bn1.running_mean", "layer1.0.conv1.weight", "layer2.0.downsample.1.bias", "fc.weight"}
    assert expected <= names


@pytest.mark.parametrize("name", [name for name in models.__all__ if name.startswith("resnet") and "cifar" not in name])
@pytest.mark.parametrize("size", [8, 28, 32])
def test_logits_have_the_size_of_the_classes(name, size):
    network = getattr(models, name)(num_classes=10, in_channels=1).eval()
    with torch.no_grad():
        assert network(torch.randn(2, 1, size, size)).shape == (2, 10)
        assert network.forward_features(torch.randn(2, 1, size, size)).shape[0] == 2


def test_gradient_reaches_the_first_layer():
    network = models.resnet8(in_channels=1)
    network(torch.randn(4, 1, 8, 8)).square().sum().backward()
    assert network.conv1.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("depth", [2, 9, 18])
def test_depth_must_be_six_n_plus_two(depth):
    with pytest.raises(ValueError, match=f"should be 6n \\+ 2.*Found `depth = {depth}`"):
        models.SmallResNet(depth, (16, 16, 32, 64), 10, 3)
