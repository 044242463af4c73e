"""The options of an image data module in three groups, and the keyword arguments that data sets pass on to the base."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypedDict

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightning_abkd._utils import check_at_least, check_interval
from lightning_abkd.training import ResumableLoader, TrainingOrder
from lightning_abkd.vision.data._samples import Sample, long_tail, noisy_labels, stratified_split

if TYPE_CHECKING:
    from typing import Unpack as Unpack
else:

    class Unpack:
        """Stand-in for `typing.Unpack`, which only type checkers see.

        Shown the real one, jsonargparse would list the keys of the TypedDict, which have neither defaults nor
        documentation, instead of the parameters of the base class.
        """

        def __class_getitem__(cls, options: type) -> type:
            return options


OnError = Literal["raise", "skip"]


class ImageOptions(TypedDict, total=False):
    """The keyword arguments of `ImageDataModule` that every data set takes; documented and with defaults there."""

    batch_size: int
    eval_batch_size: int | None
    num_workers: int
    seed: int
    drop_last: bool
    label_noise: float
    train_size: int | None
    return_index: bool
    two_views: bool
    imbalance: float


class UnsplitImageOptions(ImageOptions, total=False):
    """The arguments of a data set whose validation set is split from its training files."""

    validation_fraction: float


class AugmentedImageOptions(ImageOptions, total=False):
    """The arguments of a data set of image files, whose training images can be augmented."""

    augment: bool
    on_error: OnError


@dataclass(frozen=True)
class Loading:
    """How samples become batches; the arguments are those of `ImageDataModule`."""

    batch_size: int
    eval_batch_size: int
    num_workers: int
    drop_last: bool

    def __post_init__(self) -> None:
        check_at_least("batch_size", self.batch_size, 1)
        check_at_least("eval_batch_size", self.eval_batch_size, 1)

    def loader(self, samples: Dataset[Sample], train: bool, order: TrainingOrder | None = None) -> DataLoader[Sample]:
        """Build the loader of a set: shuffled for training, in the order given if there is one; else as stored."""
        kind = DataLoader if order is None else ResumableLoader
        return kind(
            samples,
            batch_size=self.batch_size if train else self.eval_batch_size,
            shuffle=train and order is None,
            sampler=order,
            drop_last=train and self.drop_last,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


@dataclass(frozen=True)
class Split:
    """Which samples are trained on and which are held out; the arguments are those of `ImageDataModule`."""

    validation_fraction: float
    seed: int
    train_size: int | None

    def __post_init__(self) -> None:
        advice = "With 0 all training files are trained on."
        check_interval("validation_fraction", self.validation_fraction, "[0, 1)", advice)
        if self.train_size is not None:
            check_at_least("train_size", self.train_size, 1)

    def generator(self) -> torch.Generator:
        """Return the source of randomness of a split, new and seeded."""
        return torch.Generator().manual_seed(self.seed)

    def hold_out(self, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Split the training files into those to validate on and those to train on.

        Args:
            labels: Class of every sample, shape (N,).
            generator: Source of the randomness.

        Returns:
            Indices of the samples to validate on, and of those to train on.

        Raises:
            ValueError: If no sample is left to train on, or none to validate on although `validation_fraction` is above
                0.
        """
        parts = stratified_split(labels, round(self.validation_fraction * len(labels)), generator)
        if len(parts.others) == 0 or (len(parts.chosen) == 0) != (self.validation_fraction == 0):
            raise ValueError(
                f"Parameter `validation_fraction` should leave some of the {len(labels)} samples on both sides. "
                f"Found `validation_fraction = {self.validation_fraction}`."
            )
        return parts

    def limit(self, chosen: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
        """Choose `train_size` of the samples to train on, or keep all of them.

        Args:
            chosen: Indices of the samples.
            labels: Class of every sample of the data set.
            generator: Source of the randomness.

        Returns:
            Indices of the samples that stay.

        Raises:
            ValueError: If there are fewer than `train_size`.
        """
        if self.train_size is None:
            return chosen
        if self.train_size > len(chosen):
            raise ValueError(
                f"Parameter `train_size` should be at most {len(chosen)}, the number of samples that validation set "
                f"and imbalance leave. Found `train_size = {self.train_size}`."
            )
        return chosen[stratified_split(labels[chosen], self.train_size, generator).chosen]


@dataclass(frozen=True)
class Corruption:
    """Label noise and class imbalance added to the training set; the arguments are those of `ImageDataModule`."""

    label_noise: float
    imbalance: float

    def __post_init__(self) -> None:
        check_interval("label_noise", self.label_noise, "[0, 1]")
        check_at_least("imbalance", self.imbalance, 1.0, "With 1 all classes stay as they are.")

    def thin_out(self, chosen: Tensor, labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
        """Choose samples so that the classes shrink exponentially by `imbalance`; arguments as in `Split.limit`."""
        if self.imbalance == 1:
            return chosen
        return chosen[long_tail(labels[chosen], self.imbalance, num_classes, generator)]

    def mislabel(self, labels: Tensor, num_classes: int, generator: torch.Generator) -> Tensor:
        """Replace a share `label_noise` of the labels by other classes.

        Raises:
            ValueError: If labels to replace are probabilities, shape (N, C).
        """
        if self.label_noise == 0:
            return labels
        if labels.dim() > 1:
            raise ValueError(
                "Parameter `label_noise` should be 0 for labels that are probabilities of the classes. "
                f"Found `label_noise = {self.label_noise}`."
            )
        return noisy_labels(labels, self.label_noise, num_classes, generator)
