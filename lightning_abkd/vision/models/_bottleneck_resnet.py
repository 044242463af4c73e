"""Residual networks of bottlenecks for small images (He et al. 2016, arXiv 1512.03385)."""

import torch
from torch import Tensor, nn

from lightning_abkd.vision.models._image_classifier import ImageClassifier


class _Block(nn.Module):
    """Convolutions 1×1 to a quarter of the outputs, 3×3, and 1×1 back to all of them, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        self.conv1 = nn.Conv2d(inputs, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut.extend([nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)])

    def forward(self, x: Tensor) -> Tensor:
        inner = torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn3(self.conv3(inner)) + self.shortcut(x))


class BottleneckResNet(ImageClassifier):
    """ImageNet's bottleneck network with a 3×3 stem that keeps the size, with RepDistiller's names of parameters.

    Args:
        blocks: Number of bottlenecks, at least 1, in each of the four stages, whose channels are 256, 512, 1024, 2048.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> BottleneckResNet((1, 1, 1, 1), num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    head = "linear"

    def __init__(self, blocks: tuple[int, int, int, int], num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 256, blocks[0], 1)
        self.layer2 = _stage(256, 512, blocks[1], 2)
        self.layer3 = _stage(512, 1024, blocks[2], 2)
        self.layer4 = _stage(1024, 2048, blocks[3], 2)
        self.linear = nn.Linear(2048, num_classes)
        self.he_initialize()

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, 2048, h, w) of images (B, in_channels, H, W)."""
        x = torch.relu(self.bn1(self.conv1(x)))
        maps: Tensor = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return maps


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [_Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(_Block(inputs, outputs, stride), *rest)


def resnet50_cifar(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ResNet-50 for small images, 23.71 million parameters at 100 classes.

    Args:
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> with torch.device("meta"):
        ...     network = resnet50_cifar(num_classes=10)
        >>> network(torch.zeros(2, 3, 32, 32, device="meta")).shape
        torch.Size([2, 10])
    """
    return BottleneckResNet((3, 4, 6, 3), num_classes, in_channels)
