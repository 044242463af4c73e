"""Images in one folder per class, as ImageNet is kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from lightning_abkd._utils import Links, check_at_least, check_choice, check_positive
from lightning_abkd.vision.data._image_files import ImageFiles
from lightning_abkd.vision.data._image_folder import (
    ImageFolder,
    check_folder,
    class_folders,
    list_images,
    listed,
    one_spelling,
)
from lightning_abkd.vision.data._images import ImageDataModule, SetName
from lightning_abkd.vision.data._labels import UNLABELLED
from lightning_abkd.vision.data._open_image import ImageMode
from lightning_abkd.vision.data._options import AugmentedImageOptions, Unpack
from lightning_abkd.vision.data._samples import LabelledImages, Sample, Samples
from lightning_abkd.vision.data._transforms import image_transform

_MODES: dict[int, ImageMode] = {1: "L", 3: "RGB"}


class ImageFolderDataModule(ImageDataModule):
    """Images in `data_dir/train/<class>/`, `data_dir/val/<class>/` and, optionally, `data_dir/test/<class>/`.

    Classes are numbered in the order of their names. The validation set is `val/`; without `test/` it is also the test
    set. Transforms are those of ImageNet: training images get a random resized crop and a flip. The others are resized
    to 256/224 of `image_size` on the shorter side and cropped at the centre. Files are opened by `open_image`, as a
    viewer shows them. Hidden files count for nothing; how many files of other kinds were passed over is logged.
    `data_dir` may be a link, and links in it are followed where they stay in it.

    Args:
        data_dir: Folder with `train/` and `val/`.
        image_size: Height and width of the images, in pixels.
        mean: Mean of each channel, of images scaled to [0, 1]; ImageNet's by default.
        std: Standard deviation of each channel, on the same scale; ImageNet's by default.
        channels: 3 for colour, 1 for grey. A grey image takes one mean, or the average of three; so for `std`.
        predict_dir: Folder of images without classes to predict, also in folders below it; None predicts the test set.
        follow_symlinks: Whether links in these folders may lead out of them, such as to images on another disk.
        **options: Those of `ImageDataModule` but `validation_fraction` and `download`.

    Raises:
        FileNotFoundError: In `prepare_data` and `setup`, if `train/`, `val/` or the images in them are missing.
        OSError: If an image cannot be read, when it is its turn.
        ValueError: If an argument is out of its range or, in `prepare_data` and `setup`, if `val/` or `test/` do not
            have the classes of `train/`, or a link leads out of its folder.

    Example:
        >>> birds = ImageFolderDataModule("data/birds", image_size=128, batch_size=64, num_workers=8)
        >>> birds.transform(augment=False).transforms[1].size
        [146]
    """

    def __init__(
        self,
        data_dir: str | Path = "data",
        *,
        image_size: int = 224,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        channels: Literal[1, 3] = 3,
        predict_dir: str | Path | None = None,
        follow_symlinks: bool = False,
        **options: Unpack[AugmentedImageOptions],
    ) -> None:
        check_at_least("image_size", image_size, 1)
        check_choice("channels", channels, tuple(_MODES))
        super().__init__(data_dir, validation_fraction=0.0, download=False, **options)
        self.image_size = image_size
        self.channels: Literal[1, 3] = channels
        self.mean = _per_channel("mean", mean, channels)
        self.std = _per_channel("std", std, channels)
        check_positive("std", min(self.std))
        self.predict_dir = None if predict_dir is None else Path(predict_dir).expanduser()
        self.follow_symlinks = follow_symlinks
        self._unlabelled: Samples | None = None

    @property
    def num_classes(self) -> int:
        """Number of the folders in `train/`."""
        return len(self.class_names)

    @property
    def class_names(self) -> list[str]:
        """Names of the folders in `train/`, in the order of their labels."""
        self._require("train")
        return class_folders(self.data_dir / "train")

    def prepare_data(self) -> None:
        """Check that the folders are there and have the same classes, before any image is listed."""
        if self.predict_dir is not None:
            check_folder(self.predict_dir)
            if not self._has("train"):
                return
        others = [name for name in ("val", "test") if self._has(name)]
        for name in ("train", *(others or ["val"])):
            self._check_classes(name)

    def setup(self, stage: str) -> None:
        """Open the sets that the stage needs: for "predict" the images of `predict_dir`, where it is given.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        if stage == "predict" and self.predict_dir is not None:
            paths = list_images(self.predict_dir, self.follow_symlinks)
            names = self.class_names if self._has("train") else None
            stored = ImageFiles(paths, [UNLABELLED] * len(paths), _MODES[self.channels], names)
            chosen = self._readable(stored, "predict")
            self._unlabelled = self._plain(stored, chosen, torch.full_like(chosen, UNLABELLED))
            return
        super().setup(stage)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the images in `predict_dir`, each with the label -100, or that of the test set."""
        if self.predict_dir is None or self._unlabelled is None:
            return super().predict_dataloader()
        return self._loading().loader(self._unlabelled, train=False)

    def dataset(self, split: SetName) -> LabelledImages:
        """Open the images of a folder.

        Args:
            split: "train", "validation" or "test".

        Returns:
            A data set of torchvision.

        Raises:
            FileNotFoundError: If the folder or images in it are missing.
            ValueError: If the folder does not have the classes of `train/`.
        """
        name = {"train": "train", "validation": "val", "test": "test"}[split]
        if split == "test" and not self._has("test"):
            name = "val"
        self._check_classes(name)
        labels = {each: label for label, each in enumerate(self.class_names)}
        links = Links(self.data_dir, self.follow_symlinks)
        links.check_files([self.data_dir / name])
        opened: LabelledImages = ImageFolder(self.data_dir / name, labels, _MODES[self.channels], links)
        return opened

    def transform(self, augment: bool) -> v2.Transform:
        """Build the transform that resizes an image to `image_size` and standardises it.

        Args:
            augment: Whether the crop is random and followed by a flip.

        Returns:
            The transform.
        """
        if augment:
            geometry = [v2.RandomResizedCrop(self.image_size), v2.RandomHorizontalFlip()]
        else:
            geometry = [v2.Resize(self.image_size * 256 // 224), v2.CenterCrop(self.image_size)]
        return image_transform(geometry, self.mean, self.std)

    def _check_classes(self, name: str) -> None:
        self._require(name)
        found = {one_spelling(each) for each in class_folders(self.data_dir / name)}
        different = sorted(found ^ {one_spelling(each) for each in self.class_names})
        if different:
            raise ValueError(
                f"Parameter `data_dir` should be a folder whose `{name}/` has the classes of its `train/`, else labels "
                f"shift. Found `data_dir = {str(self.data_dir)!r}`, where only one of them has: "
                f"{listed(different, 20)}."
            )

    def _has(self, name: str) -> bool:
        return (self.data_dir / name).is_dir()

    def _require(self, name: str) -> None:
        if self._has(name):
            return
        found = "There is no such folder."
        if self.data_dir.is_dir():
            entries = sorted(entry.name for entry in self.data_dir.iterdir())
            found = f"It holds {listed(entries, 5) or 'nothing'}."
        raise FileNotFoundError(
            "Parameter `data_dir` should be a folder that holds `train/` and `val/`, with a folder of images "
            f"per class. Found `data_dir = {str(self.data_dir)!r}`, where `{name}/` is missing. {found}"
        )


def _per_channel(name: str, values: Sequence[float], channels: int) -> Sequence[float]:
    """Return a number for each channel; for grey images three are averaged."""
    if channels == 1 and len(values) == 3:
        return [sum(values) / 3]
    if len(values) not in (1, channels):
        raise ValueError(
            f"Parameter `{name}` should hold a number for each of the {channels} channels. "
            f"Found `{name} = {list(values)}`."
        )
    return values
