from PIL import Image

from lightning_abkd.vision.data._image_files import ImageFiles


def test_files_are_opened_in_their_mode_with_their_class(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for number, path in enumerate(paths):
        Image.new("RGB", (2, 2), (number,) * 3).save(path)
    image, label = ImageFiles(paths, [5, 6, 7], "L").subset([2, 0])[0]
    assert (image.mode, image.getpixel((0, 0)), label) == ("L", 2, 7)
