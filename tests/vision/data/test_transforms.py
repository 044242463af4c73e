import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from lightning_abkd.data import image_transform

# (255/255 - 0.5) / 0.25 = 2
WHITE = 2.0


def test_pil_images_become_plain_standardised_floats() -> None:
    image = image_transform([], [0.5], [0.25])(Image.fromarray(np.full((4, 6), 255, dtype=np.uint8)))
    assert type(image) is torch.Tensor
    assert image.dtype == torch.float32
    assert torch.equal(image, torch.full((1, 4, 6), WHITE))


def test_geometry_comes_before_the_scaling_so_padding_is_black() -> None:
    image = image_transform([v2.Pad(1)], [0.5], [0.25])(torch.full((1, 1, 1), 255, dtype=torch.uint8))
    assert image[0, 0, 0] == -WHITE
    assert image[0, 1, 1] == WHITE
