"""Wide residual networks (Zagoruyko and Komodakis 2016, arXiv 1605.07146)."""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from lightning_abkd._utils import check_at_least
from lightning_abkd.vision.models._image_classifier import ImageClassifier


class _Block(nn.Module):
    """Two 3×3 convolutions, each after its normalisation, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.convShortcut = None if inputs == outputs else nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        active = torch.relu(self.bn1(x))
        inner: Tensor = self.conv2(torch.relu(self.bn2(self.conv1(active))))
        return inner + (x if self.convShortcut is None else self.convShortcut(active))


class WideResNet(ImageClassifier):
    """Wide residual network of depth 6n + 4 without dropout, with RepDistiller's names of parameters.

    Args:
        depth: 6n + 4 layers.
        width: Factor of the channels 16, 32 and 64 of the three stages, at least 1.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Raises:
        ValueError: If `depth` is not 6n + 4 or `width` is below 1.

    Example:
        >>> WideResNet(10, 1, num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, depth: int, width: int, num_classes: int, in_channels: int) -> None:
        if depth < 10 or depth % 6 != 4:
            raise ValueError(f"Parameter `depth` should be 6n + 4, such as 16, 28 or 40. Found `depth = {depth}`.")
        check_at_least("width", width, 1)
        super().__init__()
        blocks = (depth - 4) // 6
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding=1, bias=False)
        self.block1 = _stage(16, 16 * width, blocks, 1)
        self.block2 = _stage(16 * width, 32 * width, blocks, 2)
        self.block3 = _stage(32 * width, 64 * width, blocks, 2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, num_classes)
        self.he_initialize()
        nn.init.zeros_(self.fc.bias)

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, 64 width, h, w) of images (B, in_channels, H, W)."""
        return torch.relu(self.bn1(self.block3(self.block2(self.block1(self.conv1(x))))))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [_Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(OrderedDict(layer=nn.Sequential(_Block(inputs, outputs, stride), *rest)))


def wrn_16_1(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build WRN-16-1, 0.18 million parameters at 100 classes.

    Args:
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> wrn_16_1(num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return WideResNet(16, 1, num_classes, in_channels)


def wrn_16_2(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build WRN-16-2, 0.70 million parameters at 100 classes.

    Example: see `wrn_16_1`.
    """
    return WideResNet(16, 2, num_classes, in_channels)


def wrn_40_1(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build WRN-40-1, 0.57 million parameters at 100 classes.

    Example: see `wrn_16_1`.
    """
    return WideResNet(40, 1, num_classes, in_channels)


def wrn_40_2(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build WRN-40-2, 2.26 million parameters at 100 classes.

    Example: see `wrn_16_1`.
    """
    return WideResNet(40, 2, num_classes, in_channels)
