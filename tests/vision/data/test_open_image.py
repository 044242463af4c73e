import struct

import numpy as np
import pytest
from PIL import Image

from lightning_abkd.data import open_image
from tests.vision.data._pictures import encoded, half_red, noise, ramp

# What a viewer shows at the two ends of a ramp from black to white.
ENDS = [0, 255]


def ends(path, mode="L"):
    pixels = np.asarray(open_image(path, mode))
    return pixels[0, [0, -1]].tolist()


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("16.png", ramp("uint16", 65535), {}),
        ("16.tif", ramp("uint16", 65535), {}),
        ("packed.tif", ramp("uint16", 65535), {"compression": "tiff_lzw"}),
        ("16.pgm", ramp("uint16", 65535), {}),
        ("float.tif", ramp("float32", 1.0), {}),
        ("8.png", ramp("uint8", 255), {}),
        ("1.png", ramp("uint8", 255).convert("1", dither=0), {}),
        ("1.tif", ramp("uint8", 255).convert("1", dither=0), {}),
        ("palette.png", ramp("uint8", 255).convert("RGB").quantize(16), {}),
    ],
)
def test_a_ramp_keeps_its_full_range(tmp_path, name, image, options):
    image.save(tmp_path / name, **options)
    assert ends(tmp_path / name) == ENDS
    assert ends(tmp_path / name, "RGB") == [[0, 0, 0], [255, 255, 255]]


def test_16_bits_are_rounded_to_8(tmp_path):
    ramp("uint16", 65535).save(tmp_path / "a.png")
    # 16 steps of 65535 / 15 = 4369 = 17 · 257.
    assert np.asarray(open_image(tmp_path / "a.png", "L"))[0].tolist() == list(range(0, 256, 17))


@pytest.mark.parametrize("image", [ramp("uint16", 65535), ramp("float32", 1.0)])
def test_tiffs_whose_zero_is_white_are_shown_so(tmp_path, image):
    image.save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert ends(tmp_path / "a.tif") == [255, 0]


@pytest.mark.parametrize("image", [ramp("float32", 255.0), ramp("float32", np.nan), ramp("int32", 65535)])
def test_values_whose_white_is_unknown_are_refused(tmp_path, image):
    image.save(tmp_path / "a.tif")
    with pytest.raises(OSError, match=r"a\.tif` should be an image .* Found (values from|integers of 32 bits)"):
        open_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.gif", "palette.png", "grey.png"])
def test_transparent_parts_are_shown_on_white(tmp_path, name):
    image = {"palette.png": half_red().quantize(4), "grey.png": half_red().convert("LA")}.get(name, half_red())
    image.save(tmp_path / name, **({"lossless": True} if name == "a.webp" else {}))
    left, right = np.asarray(open_image(tmp_path / name))[0, [0, -1]].tolist()
    assert left == [255, 255, 255]
    assert right == ([76, 76, 76] if name == "grey.png" else [255, 0, 0])
    # The luma of red is 0.299 · 255 = 76.
    assert ends(tmp_path / name) == [255, 76]


@pytest.mark.parametrize("image", [ramp("uint16", 65535), ramp("uint8", 255), ramp("uint8", 255).convert("RGB")])
def test_a_colour_that_stands_for_transparency_is_white(tmp_path, image):
    image.save(tmp_path / "a.png", transparency=(0, 0, 0) if image.mode == "RGB" else 0)
    assert ends(tmp_path / "a.png") == [255, 255]


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_inks_are_shown_as_colours(tmp_path, name):
    # Pillow writes a JPEG of inks as Adobe does, inverted.
    half_red().convert("RGB").convert("CMYK").save(tmp_path / name)
    left, right = ends(tmp_path / name, "RGB")
    # A JPEG is off by a few levels.
    assert max(left) <= 2
    assert (right[0] >= 253, max(right[1:]) <= 2) == (True, True)
    assert ends(tmp_path / name)[1] == pytest.approx(76, abs=2)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_the_file_is_applied(tmp_path, name, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    shown = np.zeros((16, 8), np.uint16)
    shown[0, 0] = 65535  # white at the top left as shown
    # Where EXIF 2.3, table of tag 0112, puts row 0 and column 0 of the stored picture.
    stored = {
        1: shown, 2: shown[:, ::-1], 3: shown[::-1, ::-1], 4: shown[::-1],
        5: shown.T, 6: shown.T[::-1], 7: shown.T[::-1, ::-1], 8: shown.T[:, ::-1],
    }[orientation]  # fmt: skip
    for depth, pixels in {"16": stored, "8": (stored // 257).astype(np.uint8)}.items():
        Image.fromarray(np.ascontiguousarray(pixels)).save(tmp_path / f"{depth}{name}", exif=exif)
        assert np.array_equal(open_image(tmp_path / f"{depth}{name}", "L"), shown // 257)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP"])
def test_a_file_that_is_cut_off_is_named(tmp_path, form):
    content = encoded(noise(), form)
    (tmp_path / "cut.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(OSError, match=r"cut\.jpg` should be an image that can be read\. Found \w"):
        open_image(tmp_path / "cut.jpg")


def test_what_is_no_image_is_named_with_the_reason(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not an image")
    (tmp_path / "link.jpg").symlink_to("nowhere")
    reasons = {"empty": "an empty file", "text": "no image format", "link": "a link to nothing", "no": "no such file"}
    for name, reason in reasons.items():
        with pytest.raises(OSError, match=rf"{name}\.jpg` should be an image that can be read\. Found {reason}"):
            open_image(tmp_path / f"{name}.jpg")


def test_contents_count_and_not_the_suffix(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(noise(), "PNG"))
    assert np.array_equal(open_image(tmp_path / "a.jpg"), noise())


def test_broken_exif_data_ask_for_nothing(tmp_path):
    noise().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0broken")
    assert open_image(tmp_path / "a.jpg").size == (32, 32)


def test_mode_is_checked(tmp_path):
    with pytest.raises(ValueError, match="`mode` should be 'RGB' or 'L'. Found `mode = 'RGBA'`"):
        open_image(tmp_path / "a.png", "RGBA")


def test_12_bits_of_a_tiff_are_scaled_from_their_range(tmp_path):
    tags = {256: 2, 257: 1, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 1, 279: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    # Two pixels of 12 bits, 000 and FFF, after a header of 8 bytes and a directory of 2 + 9 · 12 + 4.
    (tmp_path / "a.tif").write_bytes(b"II*\0\x08\0\0\0\x09\0" + entries + bytes(4) + b"\x00\x0f\xff")
    assert ends(tmp_path / "a.tif") == ENDS
