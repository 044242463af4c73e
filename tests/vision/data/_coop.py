"""Tiny data sets in CoOp's layout: PNGs of one colour per class, named class_0, class_1, …"""

import json
from pathlib import Path

from PIL import Image

from lightning_abkd.vision.data._coop import _LAYOUTS, CoOpSet, names_file


def write_coop(root: Path, dataset: CoOpSet, classes: int = 4, per_class: int = 2) -> None:
    """Write `per_class` images of each class for each of the parts train, val and test."""
    names = names_file(root, dataset)
    images = names.parent / _LAYOUTS[dataset].images
    images.mkdir(parents=True, exist_ok=True)
    if dataset == "imagenet":
        _write_imagenet(names, images, classes, per_class)
        return
    split = {
        part: [
            (f"{part}_{label}_{i}.jpg", label, f"class_{label}") for label in range(classes) for i in range(per_class)
        ]
        for part in ("train", "val", "test")
    }
    for entries in split.values():
        for path, label, _ in entries:
            _image(label).save(images / path)
    if names.suffix == ".json":
        names.write_text(json.dumps(split))
        return
    names.write_text("\n".join(f"class_{label}" for label in range(classes)))
    for part, entries in split.items():
        lines = [f"{Path(path).stem} {name}" for path, _, name in entries]
        (names.parent / f"images_variant_{part}.txt").write_text("\n".join(lines))


def _image(label: int) -> Image.Image:
    return Image.new("L", (16, 12), color=20 * label)


def _write_imagenet(names: Path, images: Path, classes: int, per_class: int) -> None:
    names.write_text("\n".join(f"n0000000{label} class_{label}" for label in reversed(range(classes))))
    for part in ("train", "val"):
        for label in range(classes):
            folder = images / part / f"n0000000{label}"
            folder.mkdir(parents=True)
            for i in range(per_class):
                _image(label).save(folder / f"{i}.jpg")
