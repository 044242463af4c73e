"""The eleven data sets of CoOp, read from its folders, split files and lists of class names."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from torchvision.datasets.folder import IMG_EXTENSIONS, default_loader, find_classes, make_dataset

from lightning_abkd._utils import check_choice

CoOpSet = Literal[
    "caltech101", "dtd", "eurosat", "fgvc_aircraft", "food101", "imagenet", "oxford_flowers", "oxford_pets",
    "stanford_cars", "sun397", "ucf101",
]  # fmt: skip
Part = Literal["train", "val", "test"]
# The name of a folder of ImageNet, such as "n01440764".
_WORDNET_ID = re.compile(r"n\d{8}\b")


class _Layout(NamedTuple):
    folder: str
    images: str
    names: str


_LAYOUTS: dict[str, _Layout] = {
    "caltech101": _Layout("caltech-101", "101_ObjectCategories", "split_zhou_Caltech101.json"),
    "dtd": _Layout("dtd", "images", "split_zhou_DescribableTextures.json"),
    "eurosat": _Layout("eurosat", "2750", "split_zhou_EuroSAT.json"),
    "fgvc_aircraft": _Layout("fgvc_aircraft", "images", "variants.txt"),
    "food101": _Layout("food-101", "images", "split_zhou_Food101.json"),
    "imagenet": _Layout("imagenet", "images", "classnames.txt"),
    "oxford_flowers": _Layout("oxford_flowers", "jpg", "split_zhou_OxfordFlowers.json"),
    "oxford_pets": _Layout("oxford_pets", "images", "split_zhou_OxfordPets.json"),
    "stanford_cars": _Layout("stanford_cars", "", "split_zhou_StanfordCars.json"),
    "sun397": _Layout("sun397", "SUN397", "split_zhou_SUN397.json"),
    "ucf101": _Layout("ucf101", "UCF-101-midframes", "split_zhou_UCF101.json"),
}


class ImageFiles:
    """Images in files, opened as RGB when they are read.

    Args:
        paths: The files.
        targets: Class of each.
    """

    def __init__(self, paths: Sequence[Path], targets: Sequence[int]) -> None:
        self.paths = paths
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[object, int]:
        return default_loader(str(self.paths[index])), self.targets[index]

    def subset(self, positions: Sequence[int]) -> "ImageFiles":
        """Return the images at some positions, in the order of the positions."""
        return ImageFiles([self.paths[i] for i in positions], [self.targets[i] for i in positions])


def names_file(root: str | Path, dataset: CoOpSet) -> Path:
    """Return the path of the file that names the classes of a data set.

    Args:
        root: Folder that holds the folders of all data sets.
        dataset: Name of the data set.

    Raises:
        ValueError: If there is no such data set.

    Example:
        >>> names_file("data", "dtd").as_posix()
        'data/dtd/split_zhou_DescribableTextures.json'
    """
    check_choice("dataset", dataset, get_args(CoOpSet))
    return Path(root, _LAYOUTS[dataset].folder, _LAYOUTS[dataset].names)


def read_class_names(path: str | Path) -> list[str]:
    r"""Read the names of classes in the order of their labels.

    Args:
        path: A split file of CoOp (`split_zhou_*.json`); ImageNet's `classnames.txt`, where a line has the name of a
            folder and of its class, and labels follow the names of the folders; or a text file with one name per line,
            such as FGVC-Aircraft's `variants.txt`.

    Returns:
        One name per class, as written in the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a class has no name.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder, "names.txt")
        ...     _ = file.write_text("cat\ntraffic light")
        ...     read_class_names(file)
        ['cat', 'traffic light']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"Parameter `class_names` should be a list of names or the path of a file of them. Found no file at {path}."
        )
    names = _names_in_split(path) if path.suffix == ".json" else _names_in_text(path)
    if not names or "" in names:
        found = f"no name for the label {names.index('')}" if names else "none"
        raise ValueError(f"File `{path}` should name every class, which CLIP knows by its name alone. Found {found}.")
    return names


def _names_in_split(path: Path) -> list[str]:
    """Read the names from CoOp's entries [path, label, name]; a label without a name gets an empty one."""
    entries = [entry for part in _read_split(path).values() for entry in part]
    named = {int(label): "".join(name) for _, label, *name in entries}
    return [named.get(label, "") for label in range(max(named, default=-1) + 1)]


def _names_in_text(path: Path) -> list[str]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line]
    return _names_after_wordnet_ids(lines) if all(map(_WORDNET_ID.match, lines)) else lines


def _names_after_wordnet_ids(lines: list[str]) -> list[str]:
    """Remove the id of nine characters and the space from each line, in the order of the ids."""
    return [line[10:] for line in sorted(lines)]


def read_images(root: str | Path, dataset: CoOpSet, part: Part) -> ImageFiles:
    """List the images of a part of a data set.

    Args:
        root: Folder that holds the folders of all data sets.
        dataset: Name of the data set.
        part: "train", "val" or "test"; ImageNet's "val" and "test" are both its validation set.

    Returns:
        The images, none of them opened yet, with labels in the order of `read_class_names`.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If a file is not in CoOp's format.
    """
    names = names_file(root, dataset)
    images = names.parent / _LAYOUTS[dataset].images
    for path in (names, images):
        if not path.exists():
            raise FileNotFoundError(
                f"Parameter `root` should hold {dataset} in CoOp's layout (KaiyangZhou/CoOp, DATASETS.md). "
                f"Found `root = {str(root)!r}`, where {path.relative_to(root)} is missing."
            )
    if dataset == "imagenet":
        return _imagenet(names, images / ("train" if part == "train" else "val"))
    if dataset == "fgvc_aircraft":
        return _aircraft(names, images, part)
    entries = _read_split(names)[part]
    return ImageFiles([images / path for path, *_ in entries], [int(label) for _, label, *_ in entries])


def _read_split(path: Path) -> dict[str, list[tuple[str, int, str]]]:
    try:
        split = json.loads(path.read_text())
        return {part: [tuple(entry) for entry in split[part]] for part in get_args(Part)}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"File `{path}` should hold the lists train, val and test of [path, label, class name]. "
            f"Found {error!r} on reading it."
        ) from error


def _aircraft(names: Path, images: Path, part: Part) -> ImageFiles:
    labels = {name: label for label, name in enumerate(read_class_names(names))}
    lines = (names.parent / f"images_variant_{part}.txt").read_text().splitlines()
    entries = [line.strip().split(" ", 1) for line in lines]
    return ImageFiles([images / f"{stem}.jpg" for stem, _ in entries], [labels[name] for _, name in entries])


def _imagenet(names: Path, folder: Path) -> ImageFiles:
    classes, labels = find_classes(folder)
    listed = sorted(line.split()[0] for line in names.read_text().splitlines() if line.strip())
    if classes != listed:
        different = ", ".join(sorted(set(classes) ^ set(listed))[:5])
        raise ValueError(
            f"File `{names}` should list the folders of {folder}, else labels shift. Only one of them has: {different}."
        )
    samples = make_dataset(str(folder), labels, IMG_EXTENSIONS)
    return ImageFiles([Path(path) for path, _ in samples], [label for _, label in samples])
