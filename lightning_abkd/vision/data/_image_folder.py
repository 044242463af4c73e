"""Images in one folder per class, listed by the rules of torchvision without what systems leave beside them."""

import functools
import os
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info
from torchvision import datasets
from torchvision.datasets.folder import IMG_EXTENSIONS

from lightning_abkd._utils import Links
from lightning_abkd.vision.data._open_image import ImageMode, open_image

IMAGE_SUFFIXES = (*IMG_EXTENSIONS, ".avif", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".pbm", ".pnm", ".tga")
# What macOS, Windows, archives and storage servers write beside images; so do hidden files, whose names start with ".".
_SYSTEM_NAMES = ("__MACOSX", "@eaDir", "desktop.ini", "lost+found", "Thumbs.db")


def is_hidden(name: str) -> bool:
    """Return True for a name that an operating system hides or writes of itself."""
    return name.startswith(".") or name in _SYSTEM_NAMES


def class_folders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, in their order, without hidden ones.

    Raises:
        FileNotFoundError: If there is none.
    """
    entries = [entry for entry in os.scandir(folder) if not is_hidden(entry.name)]
    names = sorted(entry.name for entry in entries if entry.is_dir())
    if not names:
        files = sorted(entry.name for entry in entries)
        found = f"{len(files)} files without a folder: {listed(files, 3)}" if files else "an empty folder"
        raise FileNotFoundError(
            f"Couldn't find any class folder in {folder}, which should hold a folder of images per class. "
            f"Found {found}."
        )
    return names


def one_spelling(name: str) -> str:
    """Return a name with its accents written in one way; macOS writes them in another than Linux."""
    return unicodedata.normalize("NFC", name)


class _ImageNames:
    """Tells images from other files below a folder, and keeps the paths of the others."""

    def __init__(self, folder: Path) -> None:
        self.prefix = os.path.join(folder, "")
        self.others: list[str] = []

    def __call__(self, path: str) -> bool:
        relative = path.removeprefix(self.prefix)
        if any(map(is_hidden, relative.split(os.sep))):
            return False
        if relative.lower().endswith(IMAGE_SUFFIXES):
            return True
        self.others.append(relative)
        return False

    def report(self, images: int) -> None:
        """Say how many files were passed over, if any."""
        if self.others:
            rank_zero_info(
                f"{self.prefix}: took {images} images and passed over {len(self.others)} other files: "
                f"{listed(sorted(self.others), 3)}."
            )


def _files_below(folder: str, links: Links) -> dict[str, list[str]]:
    """Return the names of the files in a folder and in those below it, by folder, through links that may be followed.

    Raises:
        ValueError: If a link leads where it may not.
    """
    entries = list(os.scandir(folder))
    for entry in entries:
        if entry.is_symlink() and not is_hidden(entry.name):
            links.check(entry.path)
    files = {folder: sorted(entry.name for entry in entries if not entry.is_dir())}
    for entry in entries:
        if entry.is_dir() and not is_hidden(entry.name):
            files |= _files_below(entry.path, links)
    return files


class ImageFolder(datasets.ImageFolder):
    """The images in the class folders of a folder, opened as a viewer shows them; other files are counted and said.

    Args:
        root: Folder that holds a folder per class.
        labels: Label of each class by name; None numbers the classes in the order of their names.
        mode: "RGB" for colour, "L" for grey.
        links: Which links may be followed; None takes those that stay in the folder.

    Raises:
        FileNotFoundError: If there is no class folder, or one of them holds no image.
        ValueError: If a link leads where it may not.
    """

    def __init__(
        self,
        root: Path,
        labels: Mapping[str, int] | None = None,
        mode: ImageMode = "RGB",
        links: Links | None = None,
    ) -> None:
        self._labels = labels
        self._links = links or Links(root, follow=False)
        names = _ImageNames(root)
        loader = functools.partial(open_image, mode=mode)
        super().__init__(root, loader=loader, is_valid_file=names, allow_empty=True)
        found = set(self.targets)
        empty = [name for name, label in self.class_to_idx.items() if label not in found]
        if empty:
            raise FileNotFoundError(
                f"Found no valid file for the classes {listed(empty, 20)} in {root}. The folder of a class should hold "
                f"images, files that end with one of {', '.join(IMAGE_SUFFIXES)}; remove folders of other kinds."
            )
        names.others += [entry.name for entry in os.scandir(root) if entry.is_file() and not is_hidden(entry.name)]
        names.report(len(self.samples))

    def make_dataset(
        self,
        directory: str | Path,
        class_to_idx: Mapping[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """Return the files of each class in torchvision's order, and their labels."""
        samples = []
        for name in sorted(class_to_idx):
            place = os.path.join(directory, name)
            if os.path.islink(place):
                self._links.check(place)
            for below, files in sorted(_files_below(place, self._links).items()):
                paths = (os.path.join(below, file) for file in files)
                samples += [(path, class_to_idx[name]) for path in paths if is_valid_file and is_valid_file(path)]
        return samples

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Return the names of the class folders, and the label of each."""
        names = class_folders(Path(directory))
        if self._labels is None:
            return names, {name: label for label, name in enumerate(names)}
        by_spelling = {one_spelling(name): label for name, label in self._labels.items()}
        return names, {name: by_spelling[one_spelling(name)] for name in names}


def list_images(folder: Path, follow_symlinks: bool = False) -> list[Path]:
    """Return the images below a folder in the order of their paths; other files are counted and said.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If a link leads out of the folder and may not.
    """
    check_folder(folder)
    names = _ImageNames(folder)
    files = _files_below(str(folder), Links(folder, follow_symlinks))
    found = sorted(path for place in files for file in files[place] if names(path := os.path.join(place, file)))
    if not found:
        raise FileNotFoundError(
            f"Folder `{folder}` should hold images, files that end with one of {', '.join(IMAGE_SUFFIXES)}. "
            f"Found {len(names.others)} other files."
        )
    names.report(len(found))
    return [Path(path) for path in found]


def check_folder(folder: Path) -> None:
    """Raise FileNotFoundError if there is no such folder of images."""
    if not folder.is_dir():
        raise FileNotFoundError(f"Folder `{folder}` should hold images. Found no such folder.")


def listed(names: Sequence[str], shown: int) -> str:
    """Return the first names, and how many more there are."""
    rest = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + rest
