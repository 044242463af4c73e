"""VGG networks for small images, with batch normalisation (Simonyan and Zisserman 2015, arXiv 1409.1556)."""

from torch import Tensor, nn

from lightning_abkd.vision.models._image_classifier import ImageClassifier


class SmallVGG(ImageClassifier):
    """VGG with one linear layer instead of three, with RepDistiller's names of parameters.

    Between its blocks of 3×3 convolutions the maps are halved three times, and once more if both sides of the images
    have 64 pixels or more.

    Args:
        convolutions: Number of convolutions, at least 1, in each of the five blocks, whose channels are 64, 128, 256,
            512 and 512.
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> import torch
        >>> SmallVGG((1, 1, 1, 1, 1), num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    head = "classifier"

    def __init__(self, convolutions: tuple[int, int, int, int, int], num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.block0 = _block(in_channels, 64, convolutions[0])
        self.block1 = _block(64, 128, convolutions[1])
        self.block2 = _block(128, 256, convolutions[2])
        self.block3 = _block(256, 512, convolutions[3])
        self.block4 = _block(512, 512, convolutions[4])
        self.classifier = nn.Linear(512, num_classes)
        self.he_initialize()
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def maps(self, x: Tensor) -> Tensor:
        """Compute the last maps (B, 512, h, w) of images (B, in_channels, H, W), H and W at least 8."""
        shorter = min(x.shape[-2:])
        if shorter < 8:
            raise ValueError(f"Images should have 8 pixels or more on each side for VGG. Found {tuple(x.shape)}.")
        large = shorter >= 64
        for block in (self.block0, self.block1, self.block2):
            x = nn.functional.max_pool2d(block(x), 2)
        x = self.block3(x)
        maps: Tensor = self.block4(nn.functional.max_pool2d(x, 2) if large else x)
        return maps


def _block(inputs: int, outputs: int, convolutions: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, *[outputs] * (convolutions - 1)):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def vgg8(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build VGG-8 for small images, 3.97 million parameters at 100 classes.

    Args:
        num_classes: Size C of the logits.
        in_channels: Channels of the images.

    Example:
        >>> import torch
        >>> vgg8(num_classes=10, in_channels=1)(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    return SmallVGG((1, 1, 1, 1, 1), num_classes, in_channels)


def vgg11(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build VGG-11 for small images, 9.28 million parameters at 100 classes.

    Example: see `vgg8`.
    """
    return SmallVGG((1, 1, 2, 2, 2), num_classes, in_channels)


def vgg13(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build VGG-13 for small images, 9.46 million parameters at 100 classes.

    Example: see `vgg8`.
    """
    return SmallVGG((2, 2, 2, 2, 2), num_classes, in_channels)


def vgg16(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build VGG-16 for small images, 14.77 million parameters at 100 classes.

    Example: see `vgg8`.
    """
    return SmallVGG((2, 2, 3, 3, 3), num_classes, in_channels)


def vgg19(num_classes: int = 100, in_channels: int = 3) -> nn.Module:
    """Build VGG-19 for small images, 20.09 million parameters at 100 classes.

    Example: see `vgg8`.
    """
    return SmallVGG((2, 2, 4, 4, 4), num_classes, in_channels)
