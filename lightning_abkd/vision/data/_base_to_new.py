"""Base-to-new generalisation: half of the classes is trained on, the other half is new at the test."""

import functools
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Subset
from torchvision.transforms import InterpolationMode, v2

from lightning_abkd.vision.data._coop import CoOpSet, ImageFiles, names_file, read_class_names, read_images
from lightning_abkd.vision.data._images import ImageDataModule, Split
from lightning_abkd.vision.data._samples import Sample
from lightning_abkd.vision.data._transforms import image_transform

_SUBSAMPLES = ("base", "new", "all")
# those of the images that CLIP was trained on
_MEAN = (0.48145466, 0.4578275, 0.40821073)
_STD = (0.26862954, 0.26130258, 0.27577711)


class BaseToNewDataModule(ImageDataModule):
    """One of the eleven data sets of CoOp, its classes in two halves: the first is "base", the second "new".

    Zhou et al. 2022 (CoOp, CoCoOp), arXiv 2109.01134, 2203.05557. Training and validation see the classes of
    `subsample`; the test has two sets, one for each half. Labels are those of all classes: a network has an output for
    each, and `BaseToNewModule` keeps to those of the half. Files and folders are those of CoOp's DATASETS.md, such as
    `root/dtd/images/` and `root/dtd/split_zhou_DescribableTextures.json`; ImageNet is validated and tested on its
    validation set. Images are prepared as for CLIP: resized with bicubic interpolation; training images get a random
    resized crop and a flip.

    Args:
        root: Folder that holds the folders of the data sets.
        dataset: Which of them.
        subsample: Classes of the training and validation images: "base", "new" or "all".
        shots: Images of each class to train on, drawn by `seed`; None takes all.
        transductive: Train on the training images of *all* classes, without their labels (-100 for each): images of the
            new classes are seen before the test, as in PromptKD (Li et al. 2024, arXiv 2403.02781) and in ABKD's
            experiments. Results are not comparable to those of methods that see the base classes only.
        image_size: Height and width of the images, in pixels.
        **options: Those of `ImageDataModule` but `data_dir`, `validation_fraction` and `download`.

    Raises:
        FileNotFoundError: In `setup`, if a file or folder is missing.
        ValueError: If an argument is out of its range or, in `setup`, a file is not as CoOp has it.

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
        subsample: Literal["base", "new", "all"] = "base",
        shots: int | None = None,
        transductive: bool = False,
        image_size: int = 224,
        **options: Any,
    ) -> None:
        if subsample not in _SUBSAMPLES:
            raise ValueError(
                f"Parameter `subsample` should be one of {_SUBSAMPLES}. Found `subsample = {subsample!r}`."
            )
        for name, number in {"shots": shots, "image_size": image_size}.items():
            if number is not None and number < 1:
                raise ValueError(f"Parameter `{name}` should be at least 1. Found `{name} = {number}`.")
        self._names = names_file(root, dataset)
        super().__init__(root, validation_fraction=0.0, download=False, **options)
        self.source: CoOpSet = dataset
        self.subsample, self.shots, self.transductive, self.image_size = subsample, shots, transductive, image_size

    @functools.cached_property
    def class_names(self) -> list[str]:
        """Names of all classes in the order of their labels."""
        return read_class_names(self._names)

    @property
    def num_classes(self) -> int:
        """Number of all classes, base and new."""
        return len(self.class_names)

    def classes(self, part: Literal["train", "validation", "base", "new"]) -> range:
        """Give the labels among which the images of a part are told apart.

        Args:
            part: The training set, the validation set, or the test set of a half.

        Returns:
            Consecutive labels; with an odd number of classes the base half is the larger one.
        """
        half, every = (self.num_classes + 1) // 2, range(self.num_classes)
        name = part if part in ("base", "new") else self.subsample
        if name == "all" or (part == "train" and self.transductive):
            return every
        return every[:half] if name == "base" else every[half:]

    def setup(self, stage: str) -> None:
        """Open the sets that the stage needs, and take the training labels away if `transductive`.

        Args:
            stage: "fit", "validate", "test" or "predict".
        """
        super().setup(stage)
        if self.transductive and "train" in self.sets:
            self.sets["train"].labels = torch.full_like(self.sets["train"].labels, -100)

    def dataset(self, split: Split) -> ImageFiles:
        """List the images of a split: those of the classes that the split is about.

        Args:
            split: "train", "validation" or "test", which holds both halves.

        Returns:
            The images with labels of all classes.

        Raises:
            FileNotFoundError: If a file or folder is missing.
            ValueError: If a file is not as CoOp has it.
        """
        stored = read_images(self.data_dir, self.source, "val" if split == "validation" else split)
        if split == "test":
            return stored
        chosen = [i for i, label in enumerate(stored.targets) if label in self.classes(split)]
        stored = stored.subset(chosen)
        return self._few(stored) if split == "train" and self.shots is not None else stored

    def _few(self, stored: ImageFiles) -> ImageFiles:
        """Draw `shots` images of each class, or all of a class that has fewer."""
        generator = torch.Generator().manual_seed(self.seed)
        chosen, labels = [], torch.as_tensor(stored.targets)
        for label in labels.unique():
            of_class = (labels == label).nonzero().squeeze(1)
            chosen += of_class[torch.randperm(len(of_class), generator=generator)[: self.shots]].tolist()
        return stored.subset(sorted(chosen))

    def transform(self, augment: bool) -> v2.Transform:
        """Bring an image to `image_size` and standardise it as CLIP's.

        Args:
            augment: Whether the crop is random and followed by a flip.

        Returns:
            The transform.
        """
        size, bicubic = self.image_size, InterpolationMode.BICUBIC
        if augment:
            geometry = [v2.RandomResizedCrop(size, interpolation=bicubic), v2.RandomHorizontalFlip()]
        else:
            geometry = [v2.Resize(size, interpolation=bicubic), v2.CenterCrop(size)]
        return image_transform(geometry, _MEAN, _STD)

    def test_dataloader(self) -> list[DataLoader[Sample]]:  # type: ignore[override]
        """Return the loaders of the test images of the base classes and of the new ones."""
        whole = super().test_dataloader()
        labels, new = self.sets["test"].labels, self.classes("new").start
        parts = [(labels < new).nonzero().squeeze(1), (labels >= new).nonzero().squeeze(1)]
        return [
            DataLoader(
                Subset(whole.dataset, part.tolist()),
                batch_size=self.eval_batch_size,
                num_workers=self.num_workers,
                persistent_workers=self.num_workers > 0,
                pin_memory=torch.cuda.is_available(),
            )
            for part in parts
        ]
