"""Small pictures in the forms that image files have: a ramp from black to white, and a picture of two colours."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def ramp(dtype: str, largest: float) -> Image.Image:
    """A ramp of 16×16 from 0 on the left to `largest` on the right."""
    return Image.fromarray(np.tile(np.linspace(0, largest, 16), (16, 1)).astype(dtype))


def half_red() -> Image.Image:
    """8×4 pixels: transparent black on the left, red on the right."""
    pixels = np.zeros((4, 8, 4), np.uint8)
    pixels[:, 4:] = (255, 0, 0, 255)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, form: str) -> bytes:
    """The bytes of a file of a form such as "PNG"."""
    file = io.BytesIO()
    image.save(file, form)
    return file.getvalue()


def noise(seed: int = 0) -> Image.Image:
    """A picture of 32×32 in colours at random."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (32, 32, 3), dtype=np.uint8))


def write_folders(root: Path, splits: tuple[str, ...] = ("train", "val"), per_class: int = 2) -> None:
    """Write PNGs of class `a`, all black, and of class `b`, all white."""
    for split in splits:
        for name, colour in (("a", "black"), ("b", "white")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(per_class):
                Image.new("RGB", (8, 8), colour).save(folder / f"{number}.png")
