"""Residual networks for small images (He et al. 2016, arXiv 1512.03385, section 4.2)."""

import torch
from torch import Tensor, nn

from lightning_abkd.vision.models._image_classifier import ImageClassifier


class _Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.downsample.extend([nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class SmallResNet(ImageClassifier):
    """Residual network of depth 6n + 2 for small images, with RepDistiller's names of parameters.

    Args:
        depth: 6n + 2 layers.
        widths: Channels of the stem and of the three stages.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Raises:
        ValueError: If `depth` is not 6n + 2.

    Example:
        >>> SmallResNet(8, (16, 16, 32, 64), num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, depth: int, widths: tuple[int, int, int, int], num_classes: int, in_channels: int) -> None:
        if depth < 8 or depth % 6 != 2:
            raise ValueError(f"Parameter `depth` should be 6n + 2, such as 8, 20 or 56. Found `depth = {depth}`.")
        super().__init__()
        stem, *stages = widths
        self.conv1 = nn.Conv2d(in_channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        blocks = (depth - 2) // 6
        self.layer1 = _stage(stem, stages[0], blocks, 1)
        self.layer2 = _stage(stages[0], stages[1], blocks, 2)
        self.layer3 = _stage(stages[1], stages[2], blocks, 2)
        self.fc = nn.Linear(stages[2], num_classes)
        self.he_initialize()

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, D, h, w) of images (B, in_channels, H, W)."""
        maps: Tensor = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return maps


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [_Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(_Block(inputs, outputs, stride), *rest)


_NARROW = (16, 16, 32, 64)
_WIDE = (32, 64, 128, 256)


def resnet8(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-8 for small images, 0.08 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(8, _NARROW, num_classes, in_channels)


def resnet14(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-14 for small images, 0.18 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(14, _NARROW, num_classes, in_channels)


def resnet20(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-20 for small images, 0.28 million parameters at 100 classes.

    Args:
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> resnet20(num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return SmallResNet(20, _NARROW, num_classes, in_channels)


def resnet32(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-32 for small images, 0.47 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(32, _NARROW, num_classes, in_channels)


def resnet44(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-44 for small images, 0.67 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(44, _NARROW, num_classes, in_channels)


def resnet56(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-56 for small images, 0.86 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(56, _NARROW, num_classes, in_channels)


def resnet110(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-110 for small images, 1.74 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(110, _NARROW, num_classes, in_channels)


def resnet8x4(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-8 of four times the width, 1.23 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(8, _WIDE, num_classes, in_channels)


def resnet32x4(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-32 of four times the width, 7.43 million parameters at 100 classes.

    Example: see `resnet20`.
    """
    return SmallResNet(32, _WIDE, num_classes, in_channels)
