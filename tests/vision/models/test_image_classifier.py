import subprocess
import sys

import pytest
import torch
from torch import nn

from lightning_abkd import models
from lightning_abkd.losses import AlphaBetaDivergence
from lightning_abkd.modules import DistillationModule
from lightning_abkd.vision.models._image_classifier import ImageClassifier

ALL = [name for name in models.__all__ if name.startswith(("wrn", "vgg", "mobile", "shuffle", "resnet50"))]
SMALL = ["resnet8", "wrn_16_1", "vgg8", "mobilenetv2", "shufflenetv1", "shufflenetv2"]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(("channels", "size"), [(3, 32), (1, 28), (1, 8)])
def test_logits_have_the_size_of_the_classes(name, channels, size):
    # on the meta device shapes pass every layer, at no cost for the large networks
    with torch.device("meta"):
        network = getattr(models, name)(num_classes=10, in_channels=channels)
        images = torch.empty(2, channels, size, size)
        assert network(images).shape == (2, 10)
        assert network.forward_features(images).shape == (2, network.get_submodule(network.head).in_features)


@pytest.mark.parametrize("name", SMALL)
def test_small_images_give_finite_logits_and_a_gradient_in_every_layer(name):
    network = getattr(models, name)(num_classes=10, in_channels=1)
    network(torch.randn(4, 1, 28, 28)).square().sum().backward()
    for parameter in network.parameters():
        assert parameter.grad.isfinite().all()
        assert parameter.grad.any()


@pytest.mark.parametrize("name", SMALL)
def test_one_image_of_any_shape_and_memory_layout_gives_the_same_logits(name):
    network = getattr(models, name)(num_classes=10, in_channels=1).eval()
    image = torch.randn(1, 1, 24, 40)
    with torch.no_grad():
        logits = network(image)
        layout = network.to(memory_format=torch.channels_last)(image.to(memory_format=torch.channels_last))
        batch = network(torch.cat([image, torch.randn(1, 1, 24, 40)]))
    assert logits.shape == (1, 10)
    torch.testing.assert_close(layout, logits, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(batch[:1], logits, rtol=1e-3, atol=1e-4)


def test_a_training_batch_of_one_image_on_maps_of_one_position_is_explained():
    network = models.vgg8(num_classes=10)
    assert network(torch.randn(1, 3, 16, 16)).shape == (1, 10)
    with pytest.raises(ValueError, match=r"at least two images .* Found \(1, 3, 8, 8\), .* Set `drop_last: true`"):
        network(torch.randn(1, 3, 8, 8))


@pytest.mark.parametrize(("name", "head"), [("wrn_16_1", "fc"), ("vgg8", "classifier"), ("mobilenetv2", "classifier")])
def test_features_are_what_the_head_takes(name, head):
    network, images = getattr(models, name)().eval(), torch.randn(2, 3, 32, 32)
    logits = getattr(network, head)(network.forward_features(images))
    torch.testing.assert_close(network(images), logits, rtol=0, atol=0)


def test_features_are_the_mean_of_the_maps():
    network, images = models.wrn_16_1(in_channels=1).eval(), torch.randn(2, 1, 28, 28)
    # the pooling of the original, which takes maps of 8×8 whole, at the 7×7 of these images
    pooled = nn.functional.avg_pool2d(network.maps(images), 7).flatten(1)
    torch.testing.assert_close(network.forward_features(images), pooled)


def test_a_network_is_imported_without_lightning_and_transformers():
    code = "import sys; from lightning_abkd.models import resnet20; resnet20(); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert "torch" in found
    assert not {"lightning", "transformers", "torchmetrics", "torchvision"} & set(found)


def test_a_subclass_without_maps_is_told():
    with pytest.raises(NotImplementedError, match="ImageClassifier should define maps"):
        ImageClassifier()(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize("wrapper", ["", "module."])
@pytest.mark.parametrize("name", SMALL)
def test_a_file_of_repdistiller_loads_strictly(tmp_path, name, wrapper):
    saved, network = (getattr(models, name)(num_classes=10) for _ in range(2))
    weights = {f"{wrapper}{key}": value for key, value in saved.state_dict().items()}
    torch.save({"epoch": 240, "model": weights, "best_acc": 0.5}, path := tmp_path / "best.pth")
    models.load_weights(network, path)
    torch.testing.assert_close(network.state_dict(), saved.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("wrn_40_1", r"120 missing in the file \(block1.layer.2"),
        ("wrn_16_2", r"block1.layer.0.conv1.weight \(16, 16, 3, 3\) in the file, \(32, 16, 3, 3\) in the network"),
        ("vgg8", r"\d+ unexpected in the file \(conv1.weight"),
    ],
)
def test_a_file_of_another_architecture_is_refused(tmp_path, name, found):
    torch.save({"model": models.wrn_16_1().state_dict()}, path := tmp_path / "wrn_16_1.pth")
    with pytest.raises(ValueError, match=f"(?s)should have the architecture of the weights in .*wrn_16_1.pth.*{found}"):
        models.load_weights(getattr(models, name)(), path)


def test_convolutions_start_with_the_variance_of_their_fan_out():
    weight = models.vgg8().block4[0].weight
    # two over 3·3·512; the deviation of 2.4 million draws is known to 0.05 %
    assert weight.std().item() == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.005)


def vit():
    from transformers import ViTConfig, ViTForImageClassification

    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    return ViTForImageClassification(ViTConfig(**sizes, image_size=16, patch_size=8, num_labels=10))


def torchvision_resnet18():
    from torchvision.models import resnet18

    return resnet18(num_classes=10)


def wrn_10_1():
    return models.WideResNet(10, 1, 10, 3)


@pytest.mark.parametrize("other", [vit, torchvision_resnet18])
def test_networks_of_other_libraries_teach_and_learn(other):
    batch = (torch.randn(4, 3, 16, 16), torch.arange(4))
    for teacher, student in ((other(), wrn_10_1()), (wrn_10_1(), other())):
        module = DistillationModule(teacher, student, AlphaBetaDivergence(0.8, 0.3))
        _, divergence = module.losses(module.signals(batch))["divergence"]
        divergence.backward()
        assert all(parameter.grad is None for parameter in teacher.parameters())
        assert any(parameter.grad is not None and parameter.grad.any() for parameter in student.parameters())
