from lightning_abkd import models
from tests.vision.models._networks import parameters, shapes


def test_parameter_count_is_that_of_the_architecture():
    # At 100 classes, counted by hand: io/4 + 9oo/16 + oo/4 + 3o for each bottleneck from i to o channels, io + 2o for
    # the shortcut of a stage's first, the stem 1,728 + 128, the head 204,900. Known as 23.71 million.
    assert parameters(models.resnet50_cifar) == 23_705_252


def test_parameters_have_the_names_of_repdistiller():
    found = shapes(models.resnet50_cifar)
    assert list(found)[:2] == ["conv1.weight", "bn1.weight"]
    assert list(found)[-2:] == ["linear.weight", "linear.bias"]
    assert found["conv1.weight"] == (64, 3, 3, 3)
    assert found["layer1.0.shortcut.0.weight"] == (256, 64, 1, 1)
    assert found["layer4.2.conv2.weight"] == (512, 512, 3, 3)
    assert found["linear.weight"] == (100, 2048)
    assert "layer1.1.shortcut.0.weight" not in found
