"""Base-to-new generalisation: training on half of the classes, and a test on the other half, too."""

import functools
from pathlib import Path
from typing import Literal, get_args

import torch
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import InterpolationMode, v2

from lightning_abkd._utils import check_at_least, check_choice
from lightning_abkd.vision.data._coop import CoOpSet, check_layout, names_file, read_class_names, read_images
from lightning_abkd.vision.data._image_files import ImageFiles
from lightning_abkd.vision.data._images import ImageDataModule, SetName
from lightning_abkd.vision.data._labels import UNLABELLED
from lightning_abkd.vision.data._options import AugmentedImageOptions, Unpack
from lightning_abkd.vision.data._samples import Sample
from lightning_abkd.vision.data._transforms import image_transform

_Subsample = Literal["base", "new", "all"]
Part = Literal["train", "validation", "base", "new"]
# Mean and standard deviation of the images that CLIP was trained on.
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class BaseToNewDataModule(ImageDataModule):
    """One of the eleven data sets of CoOp, its classes in two halves: the first is "base", the second "new".

    Zhou et al. 2022 (CoOp, CoCoOp), arXiv 2109.01134, 2203.05557. Training and validation use the classes of
    `subsample`; the test has two sets, one for each half. Labels number all classes: a network has an output for each,
    and `BaseToNewModule` keeps the outputs of the half. Files and folders are those of CoOp's DATASETS.md, such as
    `root/dtd/images/` and `root/dtd/split_zhou_DescribableTextures.json`. ImageNet is validated and tested on its
    validation set. Images are prepared as for CLIP: resized with bicubic interpolation; training images get a random
    resized crop and a flip.

    Args:
        root: Folder that holds the folders of the data sets.
        dataset: Name of the data set.
        subsample: Classes of the training and validation images: "base", "new" or "all".
        shots: Images of each class to train on, drawn by `seed`; None takes all.
        transductive: Whether to train on the training images of *all* classes, without their labels (each is -100).
            Images of the new classes are then seen before the test, as in PromptKD (Li et al. 2024, arXiv 2403.02781)
            and in ABKD's experiments. Results are not comparable to those of methods that see the base classes only.
        image_size: Height and width of the images, in pixels.
        follow_symlinks: Whether links in the data set's folder may lead out of it, such as to images on another disk.
            The folder itself may be a link.
        **options: Those of `ImageDataModule` but `data_dir`, `validation_fraction` and `download`.

    Raises:
        FileNotFoundError: In `setup`, if a file or folder is missing.
        ValueError: If an argument is out of its range or, in `setup`, if a file is not in CoOp's format, or a name in
            it or a link leads out of the data set's folder.

    Example:
        >>> data = BaseToNewDataModule("data", "eurosat", shots=16, batch_size=8)
        >>> data.transform(augment=False).transforms[1].size
        [224]
    """

    def __init__(
        self,
        root: str | Path = "data",
        dataset: CoOpSet = "dtd",
        *,
        subsample: _Subsample = "base",
        shots: int | None = None,
        transductive: bool = False,
        image_size: int = 224,
        follow_symlinks: bool = False,
        **options: Unpack[AugmentedImageOptions],
    ) -> None:
        check_choice("subsample", subsample, get_args(_Subsample))
        check_at_least("image_size", image_size, 1)
        if shots is not None:
            check_at_least("shots", shots, 1)
        self._names = names_file(root, dataset)
        super().__init__(root, validation_fraction=0.0, download=False, **options)
        self.source: CoOpSet = dataset
        self.subsample = subsample
        self.shots = shots
        self.transductive = transductive
        self.image_size = image_size
        self.follow_symlinks = follow_symlinks

    @functools.cached_property
    def class_names(self) -> list[str]:
        """Names of all classes in the order of their labels."""
        return read_class_names(self._names)

    @property
    def num_classes(self) -> int:
        """Number of all classes, base and new."""
        return len(self.class_names)

    def classes(self, part: Part) -> range:
        """Return the labels of the classes that compete for the images of a part.

        Args:
            part: The training set, the validation set, or the test set of a half.

        Returns:
            Consecutive labels; with an odd number of classes the base half is the larger one.
        """
        if part == "train" and self.transductive:
            return range(self.num_classes)
        half = (self.num_classes + 1) // 2
        halves = {"base": range(half), "new": range(half, self.num_classes), "all": range(self.num_classes)}
        return halves[part if part in halves else self.subsample]

    def prepare_data(self) -> None:
        """Check that the names of the classes and the folder of images are there."""
        check_layout(self.data_dir, self.source)

    def setup(self, stage: str) -> None:
        """Open the sets that the stage needs, and remove the training labels if `transductive`.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        super().setup(stage)
        if self.transductive and "train" in self.sets:
            self.sets["train"].labels = torch.full_like(self.sets["train"].labels, UNLABELLED)

    def dataset(self, split: SetName) -> ImageFiles:
        """List the images of a split, only those of its classes.

        Args:
            split: "train", "validation" or "test", which holds both halves.

        Returns:
            The images with labels of all classes.

        Raises:
            FileNotFoundError: If a file or folder is missing.
            ValueError: If a file is not in CoOp's format.
        """
        part: Literal["train", "val", "test"] = "val" if split == "validation" else split
        stored = read_images(self.data_dir, self.source, part, self.follow_symlinks)
        stored.classes = self.class_names
        if split == "test":
            return stored
        classes = self.classes(split)
        stored = stored.subset([i for i, label in enumerate(stored.targets) if label in classes])
        return self._draw_shots(stored) if split == "train" and self.shots is not None else stored

    def _draw_shots(self, stored: ImageFiles) -> ImageFiles:
        """Draw `shots` images of each class, or all of a class that has fewer."""
        generator = torch.Generator().manual_seed(self.seed)
        labels = torch.as_tensor(stored.targets)
        chosen: list[int] = []
        for label in labels.unique():
            of_class = (labels == label).nonzero().squeeze(1)
            chosen += of_class[torch.randperm(len(of_class), generator=generator)[: self.shots]].tolist()
        return stored.subset(sorted(chosen))

    def transform(self, augment: bool) -> v2.Transform:
        """Build the transform that resizes an image to `image_size` and standardises it as CLIP does.

        Args:
            augment: Whether the crop is random and followed by a flip.

        Returns:
            The transform.
        """
        size = self.image_size
        bicubic = InterpolationMode.BICUBIC
        if augment:
            geometry = [v2.RandomResizedCrop(size, interpolation=bicubic), v2.RandomHorizontalFlip()]
        else:
            geometry = [v2.Resize(size, interpolation=bicubic), v2.CenterCrop(size)]
        return image_transform(geometry, _MEAN, _STD)

    def test_dataloader(self) -> list[DataLoader[Sample]]:
        """Return the loaders of the test images of the base classes and of the new ones."""
        samples = self._opened("test")
        new = self.classes("new").start
        loading = self._loading()
        halves = (samples.labels < new, samples.labels >= new)
        parts = [Subset(samples, half.nonzero().squeeze(1).tolist()) for half in halves]
        return [loading.loader(part, train=False) for part in parts]
