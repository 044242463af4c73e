"""MobileNetV2 for small images (Sandler et al. 2018, arXiv 1801.04381)."""

from torch import Tensor, nn

from lightning_abkd.vision.models._image_classifier import ImageClassifier

# Expansion, channels at width 1, blocks and stride of each stage; the paper's second stage has stride 2.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class _Block(nn.Module):
    """Inverted residual: convolution 1×1 to more channels, 3×3 on each channel alone, linear 1×1 to fewer."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * inputs
        self.conv = nn.Sequential(
            *_normalised(nn.Conv2d(inputs, inner, 1, bias=False)),
            *_normalised(nn.Conv2d(inner, inner, 3, stride, padding=1, groups=inner, bias=False)),
            nn.Conv2d(inner, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.has_shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.conv(x)
        return x + inner if self.has_shortcut else inner


class SmallMobileNetV2(ImageClassifier):
    """MobileNetV2 for small images, with one halving of the maps less, with RepDistiller's names of parameters.

    Args:
        width: Factor of the channels, above 0. The last maps have 1280 channels, or more if `width` is above 1.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> import torch
        >>> SmallMobileNetV2(0.25, num_classes=10, in_channels=1)(torch.zeros(2, 1, 16, 16)).shape
        torch.Size([2, 10])
    """

    head = "classifier.0"

    def __init__(self, width: float, num_classes: int, in_channels: int) -> None:
        super().__init__()
        inputs = int(32 * width)
        last = int(1280 * max(width, 1.0))
        self.conv1 = nn.Sequential(*_normalised(nn.Conv2d(in_channels, inputs, 3, 2, padding=1, bias=False)))
        self.blocks = nn.Sequential()
        for expansion, channels, blocks, stride in _STAGES:
            outputs = int(channels * width)
            rest = [_Block(outputs, outputs, expansion, 1) for _ in range(blocks - 1)]
            self.blocks.append(nn.Sequential(_Block(inputs, outputs, expansion, stride), *rest))
            inputs = outputs
        self.conv2 = nn.Sequential(*_normalised(nn.Conv2d(inputs, last, 1, bias=False)))
        linear = nn.Linear(last, num_classes)
        self.classifier = nn.Sequential(linear)
        self.he_initialize()
        nn.init.normal_(linear.weight, std=0.01)
        nn.init.zeros_(linear.bias)

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, D, h, w) of images (B, in_channels, H, W)."""
        maps: Tensor = self.conv2(self.blocks(self.conv1(x)))
        return maps


def _normalised(convolution: nn.Conv2d) -> tuple[nn.Module, nn.Module, nn.Module]:
    return convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()


def mobilenetv2(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build MobileNetV2 of half the width for small images, 0.81 million parameters at 100 classes.

    Args:
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> import torch
        >>> mobilenetv2(num_classes=10, in_channels=1)(torch.zeros(2, 1, 16, 16)).shape
        torch.Size([2, 10])
    """
    return SmallMobileNetV2(0.5, num_classes, in_channels)
