"""LightningDataModules for image classification.

Every module of this folder yields batches `(images, labels)`: float32 images of shape (B, C, H, W), int64 labels of
shape (B,). `ImageDataModule` owns what all data sets share: the split, the noise in the labels, the loaders and the
checks. A subclass gives its files, its transforms and its number of classes, and nothing else.

What does not live here: networks, losses, and anything that looks at a teacher.
"""

from lightning_abkd.data._digits import DigitsDataModule
from lightning_abkd.data._folder import ImageFolderDataModule
from lightning_abkd.data._images import ImageDataModule
from lightning_abkd.data._samples import LabelledImages
from lightning_abkd.data._torchvision import CIFAR10DataModule, CIFAR100DataModule, FashionMNISTDataModule
from lightning_abkd.data._transforms import image_transform

__all__ = [
    "CIFAR10DataModule",
    "CIFAR100DataModule",
    "DigitsDataModule",
    "FashionMNISTDataModule",
    "ImageDataModule",
    "ImageFolderDataModule",
    "LabelledImages",
    "image_transform",
]
