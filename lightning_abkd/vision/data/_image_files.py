"""Images in a list of files."""

from collections.abc import Sequence
from pathlib import Path

from lightning_abkd.vision.data._open_image import ImageMode, open_image


class ImageFiles:
    """Images in files, opened when they are read, as a viewer shows them.

    Args:
        paths: The files.
        targets: Class of each.
        mode: "RGB" for colour, "L" for grey.
        classes: Names of the classes in the order of their labels, where they are known.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        targets: Sequence[int],
        mode: ImageMode = "RGB",
        classes: Sequence[str] | None = None,
    ) -> None:
        self.paths = paths
        self.targets = targets
        self.mode = mode
        self.classes = classes

    def __getitem__(self, index: int) -> tuple[object, int]:
        return open_image(self.paths[index], self.mode), self.targets[index]

    def subset(self, positions: Sequence[int]) -> "ImageFiles":
        """Return the images at some positions, in the order of the positions."""
        paths = [self.paths[i] for i in positions]
        return ImageFiles(paths, [self.targets[i] for i in positions], self.mode, self.classes)
