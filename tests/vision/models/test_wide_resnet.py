import pytest

from lightning_abkd import models
from tests.vision.models._networks import parameters, shapes


@pytest.mark.parametrize(
    ("name", "count"),
    # At 100 classes, counted by hand: 9ab + 9bb + 2a + 2b for each block from a to b channels, ab more where those
    # differ, the stem 432, the end 2d + 100d + 100. Known as 0.70 (16-2), 0.57 (40-1) and 2.26 million (40-2).
    [("wrn_16_1", 180_916), ("wrn_16_2", 703_284), ("wrn_40_1", 569_780), ("wrn_40_2", 2_255_156)],
)
def test_parameter_counts_are_those_of_the_architectures(name, count):
    assert parameters(getattr(models, name)) == count


def test_parameters_have_the_names_of_repdistiller():
    found = shapes(models.wrn_16_2)
    assert list(found)[:2] == ["conv1.weight", "block1.layer.0.bn1.weight"]
    assert list(found)[-2:] == ["fc.weight", "fc.bias"]
    assert found["block1.layer.0.convShortcut.weight"] == (32, 16, 1, 1)
    assert found["block3.layer.1.conv2.weight"] == (128, 128, 3, 3)
    assert found["bn1.running_var"] == (128,)


def test_blocks_that_keep_their_channels_have_no_shortcut():
    assert not [name for name in shapes(models.wrn_16_1) if name.startswith("block1") and "Shortcut" in name]
    assert not [name for name in shapes(models.wrn_16_2) if "layer.1.convShortcut" in name]


@pytest.mark.parametrize("depth", [4, 9, 18])
def test_depth_must_be_six_n_plus_four(depth):
    with pytest.raises(ValueError, match=f"should be 6n \\+ 4.*Found `depth = {depth}`"):
        models.WideResNet(depth, 1, 10, 3)


def test_width_must_be_positive():
    with pytest.raises(ValueError, match="`width` should be at least 1. Found `width = 0`"):
        models.WideResNet(16, 0, 10, 3)
