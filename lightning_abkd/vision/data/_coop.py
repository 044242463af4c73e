"""The eleven data sets of CoOp, read from its folders, split files and lists of class names."""

import json
import re
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from lightning_abkd._utils import Links, check_choice, leads_out
from lightning_abkd.vision.data._image_files import ImageFiles
from lightning_abkd.vision.data._image_folder import ImageFolder, class_folders

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


class _Entry(NamedTuple):
    path: str
    label: int
    name: str


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
    named: dict[int, str] = {}
    for entry in (entry for part in _read_split(path).values() for entry in part):
        known = named.setdefault(entry.label, entry.name)
        if known != entry.name:
            raise ValueError(
                f"File `{path}` should give each label one name. Found {known!r} and {entry.name!r} for the label "
                f"{entry.label}, the latter at {entry.path!r}."
            )
    return [named.get(label, "") for label in range(max(named, default=-1) + 1)]


def _names_in_text(path: Path) -> list[str]:
    lines = _lines(path)
    return _names_after_wordnet_ids(lines) if all(map(_WORDNET_ID.match, lines)) else lines


def _lines(path: Path) -> list[str]:
    """Return the lines of a text file that are not empty, without the byte-order mark that some editors write."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    return [line for line in lines if line]


def _names_after_wordnet_ids(lines: list[str]) -> list[str]:
    """Remove the id of nine characters and the space from each line, in the order of the ids."""
    return [line[10:] for line in sorted(lines)]


def read_images(root: str | Path, dataset: CoOpSet, part: Part, follow_symlinks: bool = False) -> ImageFiles:
    """List the images of a part of a data set.

    Args:
        root: Folder that holds the folders of all data sets.
        dataset: Name of the data set.
        part: "train", "val" or "test"; ImageNet's "val" and "test" are both its validation set.
        follow_symlinks: Whether links in the data set's folder may lead out of it; the folder itself may be a link.

    Returns:
        The images, none of them opened yet, with labels in the order of `read_class_names`.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        ValueError: If a file is not in CoOp's format, or a name in it or a link leads out of the data set's folder.
    """
    check_layout(root, dataset)
    names = names_file(root, dataset)
    images = names.parent / _LAYOUTS[dataset].images
    links = Links(names.parent, follow_symlinks)
    links.check_files([names])
    if dataset == "imagenet":
        return _imagenet(names, images / ("train" if part == "train" else "val"), links)
    if dataset == "fgvc_aircraft":
        stored = _aircraft(names, images, part)
    else:
        entries = _read_split(names)[part]
        paths = [images / _checked(entry.path, names) for entry in entries]
        stored = ImageFiles(paths, [entry.label for entry in entries])
    links.check_files(stored.paths)
    return stored


def _checked(name: str, listing: Path) -> str:
    """Return the name of an image in a listing if it stays in the folder of images."""
    if leads_out(name):
        raise ValueError(f"File `{listing}` should name images in its folder. Found {name!r}, which leads out of it.")
    return name


def check_layout(root: str | Path, dataset: CoOpSet) -> None:
    """Raise FileNotFoundError, with the path that is missing, if there are no names or no images of a data set."""
    names = names_file(root, dataset)
    for path in (names, names.parent / _LAYOUTS[dataset].images):
        if not path.exists():
            raise FileNotFoundError(
                f"Parameter `root` should hold {dataset} in CoOp's layout (KaiyangZhou/CoOp, DATASETS.md). "
                f"Found `root = {str(root)!r}`, where {path.relative_to(root)} is missing."
            )


def _read_split(path: Path) -> dict[str, list[_Entry]]:
    try:
        split = json.loads(path.read_text(encoding="utf-8-sig"))
        parts = {part: list(enumerate(split[part])) for part in get_args(Part)}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{_split_wanted(path)} Found {error!r} on reading it.") from error
    return {part: [_entry(path, part, *entry) for entry in entries] for part, entries in parts.items()}


def _entry(path: Path, part: str, number: int, entry: object) -> _Entry:
    match entry:
        case [str(image), int() | str() as label] if str(label).isdecimal():
            return _Entry(image, int(label), "")
        case [str(image), int() | str() as label, str(name)] if str(label).isdecimal():
            return _Entry(image, int(label), name)
    raise ValueError(f"{_split_wanted(path)} Found {entry!r} at position {number} of {part}.")


def _split_wanted(path: Path) -> str:
    return f"File `{path}` should hold the lists train, val and test of [path, label, class name]."


def _aircraft(names: Path, images: Path, part: Part) -> ImageFiles:
    labels = {name: label for label, name in enumerate(read_class_names(names))}
    path = names.parent / f"images_variant_{part}.txt"
    if not path.is_file():
        raise FileNotFoundError(f"File `{path}` should list the images of {part} with their classes. Found no file.")
    entries = [line.partition(" ") for line in _lines(path)]
    unknown = next((name for _, _, name in entries if name not in labels), None)
    if unknown is not None:
        raise ValueError(f"File `{path}` should name classes of `{names}`. Found the name {unknown!r}.")
    paths = [images / f"{_checked(stem, path)}.jpg" for stem, _, _ in entries]
    return ImageFiles(paths, [labels[name] for _, _, name in entries])


def _imagenet(names: Path, folder: Path, links: Links) -> ImageFiles:
    if not folder.is_dir():
        raise FileNotFoundError(f"Folder `{folder}` should hold a folder of images per class. Found no such folder.")
    links.check_files([folder / "any"])
    classes = class_folders(folder)
    listed = sorted(line.split()[0] for line in _lines(names))
    if classes != listed:
        different = ", ".join(sorted(set(classes) ^ set(listed))[:5])
        raise ValueError(
            f"File `{names}` should list the folders of {folder}, else labels shift. Only one of them has: {different}."
        )
    samples = ImageFolder(folder, links=links).samples
    return ImageFiles([Path(path) for path, _ in samples], [label for _, label in samples])
