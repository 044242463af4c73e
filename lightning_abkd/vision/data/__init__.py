"""LightningDataModules for image classification.

They yield batches `(images, labels)`: float32 images of shape (B, C, H, W), int64 labels of shape (B,).
Files are opened by `open_image`, as a viewer shows them. `ImageDataModule` owns what all share: the split, the noise in
the labels, the loaders and the checks. A subclass only defines its files, its transforms and its number of classes.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import export_lazily

if TYPE_CHECKING:
    from lightning_abkd.vision.data._base_to_new import BaseToNewDataModule as BaseToNewDataModule
    from lightning_abkd.vision.data._coop import read_class_names as read_class_names
    from lightning_abkd.vision.data._digits import DigitsDataModule as DigitsDataModule
    from lightning_abkd.vision.data._folder import ImageFolderDataModule as ImageFolderDataModule
    from lightning_abkd.vision.data._images import ImageDataModule as ImageDataModule
    from lightning_abkd.vision.data._open_image import open_image as open_image
    from lightning_abkd.vision.data._samples import LabelledImages as LabelledImages
    from lightning_abkd.vision.data._torchvision import (
        CIFAR10DataModule as CIFAR10DataModule,
        CIFAR100DataModule as CIFAR100DataModule,
        FashionMNISTDataModule as FashionMNISTDataModule,
    )
    from lightning_abkd.vision.data._transforms import image_transform as image_transform
else:
    export_lazily(
        __name__,
        {
            "lightning_abkd.vision.data._base_to_new": ["BaseToNewDataModule"],
            "lightning_abkd.vision.data._coop": ["read_class_names"],
            "lightning_abkd.vision.data._digits": ["DigitsDataModule"],
            "lightning_abkd.vision.data._folder": ["ImageFolderDataModule"],
            "lightning_abkd.vision.data._images": ["ImageDataModule"],
            "lightning_abkd.vision.data._open_image": ["open_image"],
            "lightning_abkd.vision.data._samples": ["LabelledImages"],
            "lightning_abkd.vision.data._torchvision": [
                "CIFAR100DataModule",
                "CIFAR10DataModule",
                "FashionMNISTDataModule",
            ],
            "lightning_abkd.vision.data._transforms": ["image_transform"],
        },
    )
