"""ShuffleNets for small images: V1 (Zhang et al. 2018, arXiv 1707.01083), V2 (Ma et al. 2018, arXiv 1807.11164)."""

import torch
from torch import Tensor, nn

from lightning_abkd.vision.models._image_classifier import ImageClassifier

_GROUPS = 3


class _BlockV1(nn.Module):
    """Grouped 1×1 convolution, 3×3 on each channel, grouped 1×1; the shortcut is added or, at stride 2, appended."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = outputs // 4
        # The 24 channels of the stem are too few for groups.
        self.groups = 1 if inputs == 24 else _GROUPS
        self.conv1 = nn.Conv2d(inputs, inner, 1, groups=self.groups, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = _depthwise(inner, stride)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, outputs, 1, groups=_GROUPS, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.halves = stride == 2

    def forward(self, x: Tensor) -> Tensor:
        inner = _shuffle(torch.relu(self.bn1(self.conv1(x))), self.groups)
        inner = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(inner)))))
        if self.halves:
            return torch.relu(torch.cat((inner, nn.functional.avg_pool2d(x, 3, 2, padding=1)), 1))
        return torch.relu(inner + x)


class SmallShuffleNetV1(ImageClassifier):
    """ShuffleNetV1 of three groups without the early halvings, with RepDistiller's names of parameters.

    Args:
        widths: Channels of the three stages, multiples of 12 above 24.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> SmallShuffleNetV1((36, 72, 144), num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    head = "linear"

    def __init__(self, widths: tuple[int, int, int], num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = _stage_v1(24, widths[0], 4)
        self.layer2 = _stage_v1(widths[0], widths[1], 8)
        self.layer3 = _stage_v1(widths[1], widths[2], 4)
        self.linear = nn.Linear(widths[2], num_classes)

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, D, h, w) of images (B, in_channels, H, W)."""
        maps: Tensor = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return maps


class _BlockV2(nn.Module):
    """Half of the channels pass convolutions 1×1, 3×3 on each channel and 1×1; then all channels are shuffled."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = nn.Conv2d(half, half, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = _depthwise(half, 1)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        kept, inner = x.chunk(2, 1)
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(inner)))))
        return _shuffle(torch.cat((kept, torch.relu(self.bn3(self.conv3(inner)))), 1), 2)


class _DownBlockV2(nn.Module):
    """Halves the maps in two branches, each of which returns half of the channels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.conv1 = _depthwise(inputs, 2)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv2 = nn.Conv2d(inputs, half, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(inputs, half, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(half)
        self.conv4 = _depthwise(half, 2)
        self.bn4 = nn.BatchNorm2d(half)
        self.conv5 = nn.Conv2d(half, half, 1, bias=False)
        self.bn5 = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        left = torch.relu(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        right = self.bn4(self.conv4(torch.relu(self.bn3(self.conv3(x)))))
        return _shuffle(torch.cat((left, torch.relu(self.bn5(self.conv5(right)))), 1), 2)


class SmallShuffleNetV2(ImageClassifier):
    """ShuffleNetV2 without the early halvings, with RepDistiller's names of parameters.

    Args:
        widths: Channels of the three stages, even, and of the last maps.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> SmallShuffleNetV2((16, 32, 64, 128), num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    head = "linear"

    def __init__(self, widths: tuple[int, int, int, int], num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 24, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(24)
        self.layer1 = _stage_v2(24, widths[0], 3)
        self.layer2 = _stage_v2(widths[0], widths[1], 7)
        self.layer3 = _stage_v2(widths[1], widths[2], 3)
        self.conv2 = nn.Conv2d(widths[2], widths[3], 1, bias=False)
        self.bn2 = nn.BatchNorm2d(widths[3])
        self.linear = nn.Linear(widths[3], num_classes)

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, D, h, w) of images (B, in_channels, H, W)."""
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return torch.relu(self.bn2(self.conv2(x)))


def _stage_v1(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    # The pooled shortcut appends the channels that the first block leaves out.
    first = _BlockV1(inputs, outputs - inputs, 2)
    return nn.Sequential(first, *[_BlockV1(outputs, outputs, 1) for _ in range(blocks - 1)])


def _stage_v2(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(_DownBlockV2(inputs, outputs), *[_BlockV2(outputs) for _ in range(blocks)])


def _depthwise(channels: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)


def _shuffle(x: Tensor, groups: int) -> Tensor:
    """Interleave the channels of the groups, so that each of the next groups has channels of all groups."""
    batch, channels, *size = x.shape
    return x.view(batch, groups, channels // groups, *size).transpose(1, 2).flatten(1, 2)


def shufflenetv1(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ShuffleNetV1 of three groups for small images, 0.95 million parameters at 100 classes.

    Args:
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> shufflenetv1(num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return SmallShuffleNetV1((240, 480, 960), num_classes, in_channels)


def shufflenetv2(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build ShuffleNetV2 of size 1 for small images, 1.36 million parameters at 100 classes.

    Example: see `shufflenetv1`.
    """
    return SmallShuffleNetV2((116, 232, 464, 1024), num_classes, in_channels)
