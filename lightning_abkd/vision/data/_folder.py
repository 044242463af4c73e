"""Images in one folder per class, as ImageNet is kept."""

from collections.abc import Sequence
from pathlib import Path

from torchvision import datasets
from torchvision.transforms import v2

from lightning_abkd._utils import check_at_least
from lightning_abkd.vision.data._images import ImageDataModule, SetName
from lightning_abkd.vision.data._options import AugmentedImageOptions, Unpack
from lightning_abkd.vision.data._samples import LabelledImages
from lightning_abkd.vision.data._transforms import image_transform


class ImageFolderDataModule(ImageDataModule):
    """Images in `data_dir/train/<class>/`, `data_dir/val/<class>/` and, optionally, `data_dir/test/<class>/`.

    Classes are numbered in the order of their names. The validation set is `val/`; without `test/` it is also the test
    set. Transforms are those of ImageNet: training images get a random resized crop and a flip. The others are resized
    to 256/224 of `image_size` on the shorter side and cropped at the centre.

    Args:
        data_dir: Folder with `train/` and `val/`.
        image_size: Height and width of the images, in pixels.
        mean: Mean of each channel, of images scaled to [0, 1]; ImageNet's by default.
        std: Standard deviation of each channel, on the same scale; ImageNet's by default.
        **options: Those of `ImageDataModule` but `validation_fraction` and `download`.

    Raises:
        FileNotFoundError: In `setup`, if `train/`, `val/` or the images in them are missing.
        ValueError: If `image_size` is below 1 or, in `setup`, if `val/` or `test/` do not have the classes of `train/`.

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
        **options: Unpack[AugmentedImageOptions],
    ) -> None:
        check_at_least("image_size", image_size, 1)
        super().__init__(data_dir, validation_fraction=0.0, download=False, **options)
        self.image_size = image_size
        self.mean = mean
        self.std = std

    @property
    def num_classes(self) -> int:
        """Number of the folders in `train/`."""
        return len(self._classes())

    def dataset(self, split: SetName) -> LabelledImages:
        """Open the images of a folder.

        Args:
            split: "train", "validation" or "test".

        Returns:
            The data set of torchvision.

        Raises:
            FileNotFoundError: If the folder or images in it are missing.
            ValueError: If the folder does not have the classes of `train/`.
        """
        name = {"train": "train", "validation": "val", "test": "test"}[split]
        if split == "test" and not (self.data_dir / "test").is_dir():
            name = "val"
        self._require(name)
        opened: LabelledImages = datasets.ImageFolder(self.data_dir / name)
        classes = datasets.folder.find_classes(self.data_dir / name)[0]
        if classes != self._classes():
            different = sorted(set(classes) ^ set(self._classes()))
            raise ValueError(
                f"Parameter `data_dir` should be a folder whose `{name}/` has the classes of its `train/`, else labels "
                f"shift. Found `data_dir = {str(self.data_dir)!r}`, where only one of them has: {', '.join(different)}."
            )
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

    def _classes(self) -> list[str]:
        self._require("train")
        names: list[str] = datasets.folder.find_classes(self.data_dir / "train")[0]
        return names

    def _require(self, name: str) -> None:
        folder = self.data_dir / name
        if not folder.is_dir():
            raise FileNotFoundError(
                "Parameter `data_dir` should be a folder that holds `train/` and `val/`, with a folder of images "
                f"per class. Found `data_dir = {str(self.data_dir)!r}`, where `{name}/` is missing."
            )
