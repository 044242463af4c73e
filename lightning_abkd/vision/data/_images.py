"""The data module that all image data sets share."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import v2

from lightning_abkd._utils import check_choice
from lightning_abkd.training import ResumableData
from lightning_abkd.vision.data._labels import class_of, read_labels
from lightning_abkd.vision.data._options import Corruption, Loading, OnError, Split
from lightning_abkd.vision.data._readable import find_readable
from lightning_abkd.vision.data._samples import LabelledImages, Sample, Samples

SetName = Literal["train", "validation", "test"]
Loaders = DataLoader[Sample] | list[DataLoader[Sample]]


class ImageDataModule(ResumableData, ABC):
    """Loaders, split and label noise of an image data set; a subclass defines where the images come from.

    A subclass defines `num_classes`, `dataset(split)` and `transform(augment)`. Batches are `(images, labels)`: float32
    of shape (B, C, H, W) and int64 of shape (B,), or float32 (B, classes) where the data set lists probabilities.
    Split, subset and noise depend on `seed` alone; the order of the samples and the augmentations follow
    `seed_everything` and the epoch, and a resumed run goes on in both, also from the middle of an epoch. The test set
    is also the one for `predict`. Every argument is an attribute, too, which may be set until a set or a loader is
    built from it.

    Args:
        data_dir: Folder of the data set.
        batch_size: Samples per training batch (on every device), at least 1.
        eval_batch_size: Samples per batch of validation, test and prediction; `batch_size` if None.
        num_workers: Processes that load the data; they stay alive between epochs.
        validation_fraction: Share of the training files held out for validation, stratified, in [0, 1). With 0 all of
            them are trained on, and the validation set is the data set's own, or its test set where it has none. This
            is the protocol of most published tables, but do not choose hyper-parameters with it.
        seed: Seed of the split, of `train_size` and of the noise. Give teacher and student one seed; otherwise the
            teacher has seen some of the student's validation images.
        augment: Whether training images are augmented; validation and test images never are.
        download: Whether missing files are downloaded into `data_dir`, where the data set offers that.
        drop_last: Whether an incomplete last training batch is left out.
        label_noise: Share of the *training* labels replaced by another class, in [0, 1]. Validation labels stay true.
        train_size: Number of training samples to use, stratified, chosen after the validation set is split off; all if
            None.
        return_index: Whether batches get a third entry, the position of each sample among the files of its split as
            stored, int64 of shape (B,).
        two_views: Whether training images are pairs (weak, strong): the same image by `transform` and by
            `strong_transform`.
        imbalance: Ratio of the largest to the smallest class in training, at least 1: the sizes of the classes shrink
            exponentially in their order, after the validation set is split off.
        on_error: What to do about an image that cannot be read: "raise" an error that names it when its turn comes, or
            "skip" it. To skip, `setup` reads every image once and leaves out those that fail, so that each epoch has
            the same samples; how many and which is logged.

    Raises:
        ValueError: If an argument is out of its range, here or, where it depends on the number of samples, in `setup`.
        OSError: If an image cannot be read.

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

    # Options stay attributes that may be set, as Lightning's batch-size finder and subclasses expect them.
    batch_size: int
    eval_batch_size: int
    num_workers: int
    drop_last: bool
    validation_fraction: float
    seed: int
    train_size: int | None
    label_noise: float
    imbalance: float

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
        on_error: OnError = "raise",
    ) -> None:
        check_choice("on_error", on_error, get_args(OnError))
        loading = Loading(
            batch_size, batch_size if eval_batch_size is None else eval_batch_size, num_workers, drop_last
        )
        split = Split(validation_fraction, seed, train_size)
        corruption = Corruption(label_noise, imbalance)
        super().__init__()
        vars(self).update(vars(loading) | vars(split) | vars(corruption))
        self.data_dir = Path(data_dir).expanduser()
        self.augment = augment
        self.download = download
        self.return_index = return_index
        self.two_views = two_views
        self.on_error = on_error
        self.sets: dict[SetName, Samples] = {}
        self._reported: set[str] = set()

    @property
    @abstractmethod
    def num_classes(self) -> int:
        """Number of classes; a class attribute is enough."""

    @abstractmethod
    def dataset(self, split: SetName) -> LabelledImages:
        """Open the stored images without a transform, and download them first if `self.download`.

        Args:
            split: "train" for the training files, "test", or "validation". The last is passed only if
                `validation_fraction` is 0; the test set may be returned for it.

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
        """Build the transform of the strong view: RandAugment (Cubuk et al. 2020), then that of training images."""
        transform: Callable[[object], Tensor] = v2.Compose(
            [v2.ToImage(), v2.RandAugment(), self.transform(self.augment)]
        )
        return transform

    def prepare_data(self) -> None:
        """Download the files, once per machine, if `download`."""
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
        super().setup(stage)
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

    def test_dataloader(self) -> Loaders:
        """Return the loader of the test set; a subclass may return several."""
        return self._loader("test")

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return the loader of the test set."""
        return self._loader("test")

    def _setup_training(self) -> None:
        split = Split(self.validation_fraction, self.seed, self.train_size)
        corruption = Corruption(self.label_noise, self.imbalance)
        stored = self.dataset("train")
        labels = read_labels(stored.targets, self.num_classes)
        readable = self._readable(stored, "train")
        classes = class_of(labels)
        generator = split.generator()
        held_out, chosen = (readable[part] for part in split.hold_out(classes[readable], generator))
        chosen = corruption.thin_out(chosen, classes, self.num_classes, generator)
        chosen = split.limit(chosen, classes, generator)
        noisy = corruption.mislabel(labels[chosen], self.num_classes, generator)
        strong = self.strong_transform() if self.two_views else None
        self.sets["train"] = Samples(stored, chosen, noisy, self.transform(self.augment), self.return_index, strong)
        if len(held_out):
            self.sets["validation"] = self._plain(stored, held_out, labels[held_out])

    def _evaluation_set(self, split: SetName) -> Samples:
        stored = self.dataset(split)
        readable = self._readable(stored, split)
        return self._plain(stored, readable, read_labels(stored.targets, self.num_classes)[readable])

    def _readable(self, stored: LabelledImages, split: str) -> Tensor:
        """Return the positions of the images to use: all, or with `on_error: skip` those that can be read."""
        if self.on_error == "raise":
            return torch.arange(len(stored.targets))
        found = find_readable(stored, self.num_workers)
        if split not in self._reported:
            found.report(split)
            self._reported.add(split)
        return found.indices

    def _plain(self, stored: LabelledImages, indices: Tensor, labels: Tensor) -> Samples:
        return Samples(stored, indices, labels, self.transform(False), self.return_index)

    def _opened(self, split: SetName) -> Samples:
        if split not in self.sets:
            raise RuntimeError(f"The {split} set is not open yet. First call `setup` with the stage that needs it.")
        return self.sets[split]

    def _loader(self, split: SetName) -> DataLoader[Sample]:
        samples = self._opened(split)
        train = split == "train"
        order = self.training_order(len(samples), self.batch_size, augments=True) if train else None
        return self._loading().loader(samples, train, order)

    def _loading(self) -> Loading:
        return Loading(self.batch_size, self.eval_batch_size, self.num_workers, self.drop_last)
