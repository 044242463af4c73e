"""Data sets that torchvision downloads and reads."""

import gzip
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from torchvision import datasets
from torchvision.transforms import v2

from lightning_abkd.vision.data._images import ImageDataModule, SetName
from lightning_abkd.vision.data._samples import LabelledImages
from lightning_abkd.vision.data._transforms import image_transform

_FASHION_ARCHIVES = tuple(name for name, _ in datasets.FashionMNIST.resources)


class _TorchvisionDataModule(ImageDataModule):
    _source: ClassVar[type[datasets.VisionDataset]]
    _files: ClassVar[tuple[str, ...]]
    _alternative: ClassVar[str] = ""
    _mean: ClassVar[tuple[float, ...]]
    _std: ClassVar[tuple[float, ...]]
    _crop: ClassVar[v2.RandomCrop]

    def dataset(self, split: SetName) -> LabelledImages:
        """Open the training files or the test files.

        Args:
            split: "train" for the training files, any other for the test files.

        Returns:
            The data set of torchvision.

        Raises:
            FileNotFoundError: If files are missing and `download` is False.
            RuntimeError: If files are corrupted.
        """
        self._require_files()
        try:
            opened: LabelledImages = self._source(self.data_dir, train=split == "train", download=self.download)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise _unreadable(self.data_dir, error) from error
        return opened

    def prepare_data(self) -> None:
        """Download the files, once per machine, if `download`; else check that they are there."""
        self._require_files()
        super().prepare_data()

    def _require_files(self) -> None:
        missing = [name for name in self._files if not (self.data_dir / name).is_file()]
        if missing and not self.download:
            found = f"lacks {', '.join(missing)}" if self.data_dir.is_dir() else "does not exist"
            raise FileNotFoundError(
                f"Parameter `data_dir` should be a folder that holds {', '.join(self._files)}{self._alternative}. "
                f"Found `data_dir = {str(self.data_dir)!r}`, which {found}. Set `download: true` in the config "
                "(`download=True` in Python) to download the files."
            )

    def transform(self, augment: bool) -> v2.Transform:
        """Build the transform that standardises an image; for training it also crops and flips at random.

        Args:
            augment: Whether to crop, after padding with black, and to flip left-right.

        Returns:
            The transform.
        """
        geometry = [self._crop, v2.RandomHorizontalFlip()] if augment else []
        return image_transform(geometry, self._mean, self._std)


def _unreadable(folder: Path, error: Exception) -> RuntimeError:
    return RuntimeError(
        f"Parameter `data_dir` should be a folder of intact files. Found `data_dir = {str(folder)!r}`, where reading "
        f"failed: {error!r}. Delete the files and download them again, with `download: true` in the config "
        "(`download=True` in Python)."
    )


class FashionMNISTDataModule(_TorchvisionDataModule):
    """Fashion-MNIST: 70,000 grey images of 28×28 in 10 classes of clothing, 10,000 of them for the test.

    Augmentation: a crop of 28 after padding by 2, and a flip. `data_dir` holds `FashionMNIST/raw/*-ubyte`, as
    torchvision stores it, or the four archives `*-ubyte.gz` themselves, which are read without writing there. Debian's
    package `dataset-fashion-mnist` installs the archives into `/usr/share/datasets/fashion-mnist`. Arguments are those
    of `ImageDataModule`.

    Example:
        >>> FashionMNISTDataModule("/usr/share/datasets/fashion-mnist", batch_size=256).num_classes
        10
    """

    num_classes = 10
    _source = datasets.FashionMNIST
    _files = tuple(f"FashionMNIST/raw/{Path(name).stem}" for name in _FASHION_ARCHIVES)
    _alternative = f" (or {', '.join(_FASHION_ARCHIVES)}, as in Debian's package dataset-fashion-mnist)"
    _mean = (0.2860,)
    _std = (0.3530,)
    _crop = v2.RandomCrop(28, padding=2)

    def dataset(self, split: SetName) -> LabelledImages:
        """Open the training files or the test files, from archives if `data_dir` holds all four.

        Args:
            split: "train" for the training files, any other for the test files.

        Returns:
            The data set of torchvision.

        Raises:
            FileNotFoundError: If files are missing and `download` is False.
            RuntimeError: If files are corrupted.
        """
        archives = self._archives()
        if not archives:
            return super().dataset(split)
        with TemporaryDirectory() as folder:
            raw = Path(folder, "FashionMNIST", "raw")
            raw.mkdir(parents=True)
            try:
                for archive in archives:
                    (raw / archive.stem).write_bytes(gzip.decompress(archive.read_bytes()))
                opened: LabelledImages = self._source(folder, train=split == "train")
            except (gzip.BadGzipFile, zlib.error, EOFError, RuntimeError, AssertionError, ValueError) as error:
                raise _unreadable(self.data_dir, error) from error
        return opened

    def _require_files(self) -> None:
        if not self._archives():
            super()._require_files()

    def _archives(self) -> list[Path]:
        """Return the four archives if all are there, else none."""
        archives = [self.data_dir / name for name in _FASHION_ARCHIVES]
        return archives if all(archive.is_file() for archive in archives) else []


def _cifar_files(source: type[datasets.CIFAR10]) -> tuple[str, ...]:
    names = [name for name, _ in source.train_list + source.test_list] + [source.meta["filename"]]
    return tuple(f"{source.base_folder}/{name}" for name in names)


class CIFAR10DataModule(_TorchvisionDataModule):
    """CIFAR-10: 60,000 colour images of 32×32 in 10 classes, 10,000 of them for the test.

    Augmentation: a crop of 32 after padding by 4, and a flip. `data_dir` holds `cifar-10-batches-py/`. Arguments are
    those of `ImageDataModule`.

    Example:
        >>> CIFAR10DataModule("data", download=True).num_classes
        10
    """

    num_classes = 10
    _source = datasets.CIFAR10
    _files = _cifar_files(datasets.CIFAR10)
    _mean = (0.4914, 0.4822, 0.4465)
    _std = (0.2470, 0.2435, 0.2616)
    _crop = v2.RandomCrop(32, padding=4)


class CIFAR100DataModule(CIFAR10DataModule):
    """CIFAR-100: 60,000 colour images of 32×32 in 100 classes, 10,000 of them for the test.

    The augmentation is that of `CIFAR10DataModule`; images are standardised by the mean and standard deviation of
    CIFAR-100. `data_dir` holds `cifar-100-python/`. Arguments are those of `ImageDataModule`.

    Example:
        >>> CIFAR100DataModule("data", batch_size=64, validation_fraction=0).num_classes
        100
    """

    num_classes = 100
    _source = datasets.CIFAR100
    _files = _cifar_files(datasets.CIFAR100)
    _mean = (0.5071, 0.4867, 0.4408)
    _std = (0.2675, 0.2565, 0.2761)
