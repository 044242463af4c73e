"""Transforms from a stored image to the tensor that a network takes."""

from collections.abc import Sequence

import torch
from torchvision.transforms import v2


def image_transform(geometry: Sequence[v2.Transform], mean: Sequence[float], std: Sequence[float]) -> v2.Transform:
    """Build the transform from an image to a float tensor: geometry on bytes, scaling to [0, 1], standardisation.

    Args:
        geometry: Transforms of the uint8 image (crops, flips, resizes), in order; may be empty.
        mean: Mean of each channel, of the image scaled to [0, 1].
        std: Standard deviation of each channel, on the same scale.

    Returns:
        A transform from a PIL image, array or uint8 tensor to a float32 tensor of shape (C, H, W).

    Example:
        >>> transform = image_transform([v2.CenterCrop(4)], mean=[0.5], std=[0.5])
        >>> transform(torch.full((1, 6, 6), 255, dtype=torch.uint8)).unique()
        tensor([1.])
    """
    to_float = v2.ToDtype(torch.float32, scale=True)
    return v2.Compose([v2.ToImage(), *geometry, to_float, v2.Normalize(mean, std), v2.ToPureTensor()])
