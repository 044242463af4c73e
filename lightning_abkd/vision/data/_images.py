"""The data module that all image data sets share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from lightning_abkd.vision.data._samples import (
    LabelledImages,
    Sample,
    Samples,
    long_tail,
    noisy_labels,
    stratified_split,
)

Split = Literal["train", "validation", "test"]


class ImageDataModule(LightningDataModule, ABC):
    """Loaders, split and label noise of an image data set; a subclass says where the images come from.

    A subclass gives `num_classes`, `dataset(split)` and `transform(augment)`. Batches are `(images, labels)`: float32
    of shape (B, C, H, W) and int64 of shape (B,). Split, subset and noise depend on `seed` alone; the order of the
    samples and the augmentations follow `seed_everything`. The test set also serves `predict`.

    Args:
        data_dir: Folder of the data set.
        batch_size: Samples per training batch (on every device), at least 1.
        eval_batch_size: Samples per batch of validation, test and prediction; `batch_size` if None.
        num_workers: Processes that load the data; they stay alive between epochs.
        validation_fraction: Share of the training files held out for validation, stratified, in [0, 1). With 0 all of
            them are trained on and the validation set is the data set's own one, or its test set where it has none: the
            protocol of most published tables, not one to choose hyper-parameters by.
        seed: Seed of the split, of `train_size` and of the noise. With a seed of its own, a teacher has been trained on
            some of the student's validation images.
        augment: Whether training images are augmented; validation and test images never are.
        download: Whether missing files are fetched into `data_dir`, where the data set offers that.
        drop_last: Whether an incomplete last training batch is left out.
        label_noise: Share of the *training* labels replaced by another class, in [0, 1]. Validation labels stay true.
        train_size: Number of training samples to use, stratified, chosen after the validation set is split off; all if
            None.
        return_index: Whether batches get a third entry, the position of each sample among the files of its split as
            stored, int64 of shape (B,).
        two_views: Whether training images are pairs (weak, strong): the same image by `transform` and by
            `strong_transform`.
        imbalance: Ratio of the largest to the smallest class in training, at least 1: classes shrink exponentially in
            their order, after the validation set is split off.

    Raises:
        ValueError: If an argument is out of its range, here or, where it depends on the number of samples, in `setup`.

    Example:
        >>> from torchvision.datasets import SVHN
        >>> from torchvision.transforms.v2 import RandomCrop
        >>> from lightning_abkd.data import image_transform
        >>> class SVHNDataModule(ImageDataModule):
        ...     num_classes = 10
        ...     def dataset(self, split):
        ...         stored = SVHN(self.data_dir, "train" if split == "train" else "test", download=self.download)
        ...         stored.targets = stored.labels
        ...         return stored
        ...     def transform(self, augment):
        ...         return image_transform([RandomCrop(32, padding=4)] if augment else [], [0.45] * 3, [0.2] * 3)
    """

    def __init__(
        self,
        data_dir: str | Path = "data",
        *,
        batch_size: int = 128,
        eval_batch_size: int | None = None,
        num_workers: int = 0,
        validation_fraction: float = 0.1,
        seed: int = 0,
        augment: bool = True,
        download: bool = False,
        drop_last: bool = False,
        label_noise: float = 0.0,
        train_size: int | None = None,
        return_index: bool = False,
        two_views: bool = False,
        imbalance: float = 1.0,
    ) -> None:
        sizes = {"batch_size": batch_size, "eval_batch_size": eval_batch_size, "train_size": train_size}
        for name, size in sizes.items():
            if size is not None and size < 1:
                raise ValueError(f"Parameter `{name}` should be at least 1. Found `{name} = {size}`.")
        _check_shares(validation_fraction, label_noise, imbalance)
        super().__init__()
        self.data_dir = Path(data_dir).expanduser()
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size or batch_size
        self.num_workers = num_workers
        self.validation_fraction = validation_fraction
        self.seed = seed
        self.augment = augment
        self.download = download
        self.drop_last = drop_last
        self.label_noise = label_noise
        self.train_size = train_size
        self.return_index = return_index
        self.two_views = two_views
        self.imbalance = imbalance
        self.sets: dict[Split, Samples] = {}

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes; a class attribute will do."""

    @abstractmethod
    def dataset(self, split: Split) -> LabelledImages:
        """Open the stored images, untransformed, fetching them first if `self.download`.

        Args:
            split: "train" for the training files; "test"; "validation" is asked for only with `validation_fraction = 0`
                and may be answered with the test set.

        Returns:
            The data set, with `targets`.
        """

    @abstractmethod
    def transform(self, augment: bool) -> Callable[[object], Tensor]:
        """Build the transform from a stored image to a float32 tensor of shape (C, H, W).

        Args:
            augment: True for the training images if `self.augment`, else False.

        Returns:
            The transform, see `image_transform`.
        """

    def strong_transform(self) -> Callable[[object], Tensor]:
        """Build the transform of the strong view: RandAugment (Cubuk et al. 2020) and then that of training images."""
        transform: Callable[[object], Tensor] = v2.Compose(
            [v2.ToImage(), v2.RandAugment(), self.transform(self.augment)]
        )
        return transform

    def prepare_data(self) -> None:
        """Fetch the files, once per machine, if `download`."""
        if self.download:
            self.dataset("train")
            self.dataset("test")

    def setup(self, stage: str) -> None:
        """Open the sets that the stage needs, into `self.sets`.

        Args:
            stage: "fit", "validate", "test" or "predict".

        Raises:
            ValueError: If `validation_fraction` or `train_size` do not fit the number of training files.
        """
        if stage in ("test", "predict"):
            self.sets["test"] = self._evaluation_set("test")
            return
        if stage == "fit" or self.validation_fraction > 0:
            self._setup_training()
        if self.validation_fraction == 0:
            self.sets["validation"] = self._evaluation_set("validation")

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return the shuffled loader of the training set."""
        return self._loader("train")

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the validation set."""
        return self._loader("validation")

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the test set."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the test set."""
        return self._loader("test")

    def _setup_training(self) -> None:
        stored = self.dataset("train")
        labels = torch.as_tensor(stored.targets)
        generator = torch.Generator().manual_seed(self.seed)
        held_out, chosen = stratified_split(labels, round(self.validation_fraction * len(labels)), generator)
        if len(chosen) == 0 or (len(held_out) == 0) != (self.validation_fraction == 0):
            raise ValueError(
                f"Parameter `validation_fraction` should leave some of the {len(labels)} samples on both sides. "
                f"Found `validation_fraction = {self.validation_fraction}`."
            )
        if self.imbalance > 1:
            chosen = chosen[long_tail(labels[chosen], self.imbalance, self.num_classes, generator)]
        if self.train_size is not None:
            if self.train_size > len(chosen):
                raise ValueError(
                    f"Parameter `train_size` should be at most {len(chosen)}, what validation set and imbalance leave. "
                    f"Found `train_size = {self.train_size}`."
                )
            chosen = chosen[stratified_split(labels[chosen], self.train_size, generator)[0]]
        noisy = noisy_labels(labels[chosen], self.label_noise, self.num_classes, generator)
        strong = self.strong_transform() if self.two_views else None
        self.sets["train"] = Samples(stored, chosen, noisy, self.transform(self.augment), self.return_index, strong)
        if len(held_out):
            plain = self.transform(False)
            self.sets["validation"] = Samples(stored, held_out, labels[held_out], plain, self.return_index)

    def _evaluation_set(self, split: Split) -> Samples:
        stored = self.dataset(split)
        labels = torch.as_tensor(stored.targets)
        return Samples(stored, torch.arange(len(labels)), labels, self.transform(False), self.return_index)

    def _loader(self, split: Split) -> DataLoader[Sample]:
        if split not in self.sets:
            raise RuntimeError(f"The {split} set is not open yet. First call `setup` with the stage that needs it.")
        train = split == "train"
        return DataLoader(
            self.sets[split],
            batch_size=self.batch_size if train else self.eval_batch_size,
            shuffle=train,
            drop_last=train and self.drop_last,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _check_shares(validation_fraction: float, label_noise: float, imbalance: float) -> None:
    if not 0 <= validation_fraction < 1:
        raise ValueError(
            "Parameter `validation_fraction` should be in [0, 1), where 0 keeps all training files for training. "
            f"Found `validation_fraction = {validation_fraction}`."
        )
    if not 0 <= label_noise <= 1:
        raise ValueError(f"Parameter `label_noise` should be in [0, 1]. Found `label_noise = {label_noise}`.")
    if not 1 <= imbalance < float("inf"):
        raise ValueError(
            "Parameter `imbalance` should be finite and at least 1, where 1 keeps all classes as they are. "
            f"Found `imbalance = {imbalance}`."
        )
