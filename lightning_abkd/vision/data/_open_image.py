"""Image files, opened as an image viewer shows them."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lightning_abkd._utils import check_choice

ImageMode = Literal["RGB", "L"]
# Tags of TIFF and EXIF.
_BITS_PER_SAMPLE = 258
_PHOTOMETRIC = 262
_MIN_IS_WHITE = 0
_ORIENTATION = 274
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnreadableImage(OSError):
    """A file or sample that is no image, is broken, or is stored in a form without a range from black to white.

    Args:
        message: The sentence; the traceback that torch puts before it on its way from a worker is left out.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{type(self).__name__}: ")[2].strip())


def open_image(path: str | Path, mode: ImageMode = "RGB") -> Image.Image:
    r"""Open an image file as the picture that an image viewer shows, with 8 bits per channel.

    Pixels of 12 and 16 bits are scaled from their full range, and floats from [0, 1]. The orientation in the file is
    applied, palettes are looked up, and transparent parts are shown on white. Of several frames or pages the first is
    taken. Colour profiles are not applied, as in torchvision and timm. The contents count, not the suffix.

    Args:
        path: The file.
        mode: "RGB" for colour, "L" for grey.

    Returns:
        The picture, of mode `mode`.

    Raises:
        OSError: If the file is missing, is no image or is broken, or its pixels have no known range: integers of 32
            bits or with a sign, and floats outside [0, 1].

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     ramp = np.array([[0, 65535]], dtype=np.uint16)
        ...     Image.fromarray(ramp).save(Path(folder, "ramp.png"))
        ...     open_image(Path(folder, "ramp.png"), mode="L").tobytes()
        b'\x00\xff'
    """
    check_choice("mode", mode, get_args(ImageMode))
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            # Broken data beside a picture, such as its place or date, do not change the picture.
            warnings.filterwarnings("ignore", "(?i).*(exif|metadata|truncated file read)", UserWarning, r"PIL\.")
            with Image.open(file) as image:
                image.load()
                return _shown(image, mode)
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise errors of every kind on broken files.
        raise UnreadableImage(
            f"File `{path}` should be an image that can be read. Found {_reason(Path(path), error)} "
            "Replace or remove it; data modules leave such files out with `on_error: skip`."
        ) from error


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "a link to nothing." if path.is_symlink() else "no such file."
    if path.is_file() and path.stat().st_size == 0:
        return "an empty file."
    if isinstance(error, UnidentifiedImageError):
        return "no image format that Pillow knows."
    kind = "" if isinstance(error, UnreadableImage) else f"{type(error).__name__}: "
    return f"{kind}{str(error).rstrip('.')}."


def _shown(image: Image.Image, mode: ImageMode) -> Image.Image:
    """Return the picture in a loaded image file."""
    turn = _TURNS.get(_orientation(image))
    if image.mode.partition(";")[0] in ("I", "F"):
        shown = Image.fromarray(np.rint(255 * _brightness(image)).astype(np.uint8))
    elif image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        pixels = image.convert("RGBA")
        shown = Image.alpha_composite(Image.new("RGBA", pixels.size, "white"), pixels).convert("RGB")
    else:
        # Grey is made from colours, not from the places of a palette or from inks.
        shown = image if image.mode in ("L", "1") else image.convert("RGB")
    shown = shown.convert(mode)
    return shown if turn is None else shown.transpose(turn)


def _orientation(image: Image.Image) -> int:
    """Return the orientation that a file asks for, 1 for upright; broken EXIF data ask for nothing."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:
        return 1


def _brightness(image: Image.Image) -> NDArray[np.float64]:
    """Return the grey values of an image of more than 8 bits, 0 for black and 1 for white."""
    tags: Mapping[int, int | tuple[int, ...]] = getattr(image, "tag_v2", {})
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        largest = 1.0
    elif image.mode != "I" or image.format in ("PNG", "PPM"):
        largest = 4095.0 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65535.0
    else:
        raise UnreadableImage("integers of 32 bits or with a sign, whose black and white are not known")
    # Written so that NaN is refused.
    if values.size and not (values.min() >= 0 and values.max() <= largest):
        found = f"values from {values.min():g} to {values.max():g}"
        raise UnreadableImage(f"{found}, where black is 0 and white {largest:g}")
    brightness = 1 - values / largest if tags.get(_PHOTOMETRIC) == _MIN_IS_WHITE else values / largest
    transparent = image.info.get("transparency")
    return brightness if transparent is None else np.where(values == transparent, 1.0, brightness)
