"""Scikit-learn's handwritten digits: a real data set without files."""

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from lightning_abkd._utils import require
from lightning_abkd.vision.data._images import ImageDataModule, SetName
from lightning_abkd.vision.data._options import Unpack, UnsplitImageOptions
from lightning_abkd.vision.data._samples import stratified_split


class DigitsDataModule(ImageDataModule):
    """The 1,797 grey 8×8 digits that come with scikit-learn, scaled to [-1, 1].

    A fifth of them is the test set, the same for every `seed`, so that no teacher has seen a student's test images. The
    validation set is split from the rest. Few samples (`train_size`) and wrong labels (`label_noise`) make the task
    harder. Scikit-learn comes with the extra `quickstart`.

    Args:
        flatten: Whether images are vectors of shape (64,) instead of (1, 8, 8).
        **options: Those of `ImageDataModule` but `data_dir`, `augment`, `download` and `on_error`.

    Raises:
        ModuleNotFoundError: In `setup`, if scikit-learn is missing.

    Example:
        >>> digits = DigitsDataModule(batch_size=32, train_size=500, label_noise=0.2)
        >>> digits.setup("fit")
        >>> images, labels = next(iter(digits.train_dataloader()))
        >>> images.shape, labels.shape
        (torch.Size([32, 1, 8, 8]), torch.Size([32]))
    """

    num_classes = 10

    def __init__(self, *, flatten: bool = False, **options: Unpack[UnsplitImageOptions]) -> None:
        super().__init__(data_dir=".", augment=False, download=False, on_error="raise", **options)
        self.flatten = flatten

    def dataset(self, split: SetName) -> "_Digits":
        """Load the training or the test part.

        Args:
            split: "train" for four fifths of the digits, any other for the remaining fifth.

        Returns:
            The digits as tensors.
        """
        stored = _load_digits()
        parts = stratified_split(stored.targets, len(stored.targets) // 5, torch.Generator().manual_seed(0))
        part = parts.others if split == "train" else parts.chosen
        return _Digits(stored.images[part] / 8 - 1, stored.targets[part])

    def transform(self, augment: bool) -> nn.Module:
        """Build the transform of the digits, which are tensors already: flatten them if `flatten`, else do nothing.

        Args:
            augment: Without effect.

        Returns:
            The transform.
        """
        return nn.Flatten(0) if self.flatten else nn.Identity()

    def strong_transform(self) -> v2.Transform:
        """Build the transform of the strong view: a rotation by up to 15 degrees and a shift by up to one pixel."""
        return v2.Compose([v2.RandomAffine(15, (1 / 8, 1 / 8), fill=-1.0), self.transform(False)])


class _Digits:
    def __init__(self, images: Tensor, targets: Tensor) -> None:
        self.images = images
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.images[index], self.targets[index]


def _load_digits() -> _Digits:
    digits = require("sklearn.datasets", "quickstart", "DigitsDataModule", "scikit-learn").load_digits()
    images = torch.as_tensor(digits.images, dtype=torch.float32).unsqueeze(1)
    return _Digits(images, torch.as_tensor(digits.target, dtype=torch.int64))
