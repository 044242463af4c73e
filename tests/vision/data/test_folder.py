import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from lightning_abkd.data import ImageFolderDataModule
from tests.vision.data._formats import write_image_folder


def folder(path: Path, stage: str = "fit", **options: Any) -> ImageFolderDataModule:
    data = ImageFolderDataModule(path, image_size=8, batch_size=4, **options)
    data.setup(stage)
    return data


def test_train_and_val_are_read_from_their_folders(tmp_path: Path) -> None:
    write_image_folder(tmp_path, classes=2, per_class=2)
    data = folder(tmp_path)
    assert data.num_classes == 2
    for loader in (data.train_dataloader(), data.val_dataloader()):
        images, labels = next(iter(loader))
        assert (images.shape, images.dtype) == ((4, 3, 8, 8), torch.float32)
        assert labels.bincount().tolist() == [2, 2]


def test_test_images_come_from_val_until_there_is_a_test_folder(tmp_path: Path) -> None:
    write_image_folder(tmp_path, classes=2, per_class=1)
    assert folder(tmp_path, "test").sets["test"].stored.root == tmp_path / "val"
    write_image_folder(tmp_path, classes=2, per_class=3, splits=("test",))
    assert len(folder(tmp_path, "test").sets["test"]) == 6


def test_images_are_standardised_with_the_given_statistics(tmp_path: Path) -> None:
    write_image_folder(tmp_path, classes=1, per_class=1)
    images, _ = next(iter(folder(tmp_path, mean=(0.5, 0.0, 0.0), std=(0.5, 1.0, 1.0)).val_dataloader()))
    # The image is black: (0 - 0.5) / 0.5 = -1 and (0 - 0) / 1 = 0.
    assert images.mean(dim=(0, 2, 3)).tolist() == [-1, 0, 0]


def test_validation_images_are_resized_and_cropped_in_the_middle(tmp_path: Path) -> None:
    image = torch.zeros(3, 256, 512, dtype=torch.uint8)
    image[:, 16:-16, 144:-144] = 255  # the middle 224×224
    out = ImageFolderDataModule(tmp_path, mean=(0, 0, 0), std=(1, 1, 1)).transform(augment=False)(image)
    assert torch.equal(out, torch.ones(3, 224, 224))


def test_training_images_are_cropped_at_random(tmp_path: Path) -> None:
    transform = ImageFolderDataModule(tmp_path, image_size=8).transform(augment=True)
    image = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).expand(3, 16, 16)
    torch.manual_seed(0)
    assert not torch.equal(transform(image), transform(image))


@pytest.mark.parametrize("missing", ["train", "val"])
def test_missing_folder_is_named(tmp_path: Path, missing: str) -> None:
    write_image_folder(tmp_path, classes=1, per_class=1)
    shutil.rmtree(tmp_path / missing)
    with pytest.raises(FileNotFoundError, match=rf"holds `train/` and `val/`.*where `{missing}/` is missing"):
        folder(tmp_path)


def test_folder_without_classes_is_named(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(FileNotFoundError, match=r"Couldn't find any class folder in .*train"):
        folder(tmp_path)


def test_class_without_images_is_named(tmp_path: Path) -> None:
    write_image_folder(tmp_path, classes=2, per_class=1)
    (tmp_path / "train" / "class_1" / "0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"Found no valid file for the classes class_1"):
        folder(tmp_path)


def test_val_without_a_class_would_shift_labels_and_is_refused(tmp_path: Path) -> None:
    write_image_folder(tmp_path, classes=3, per_class=1)
    shutil.rmtree(tmp_path / "val" / "class_1")
    with pytest.raises(ValueError, match=r"`val/` has the classes of its `train/`.*only one of them has: class_1"):
        folder(tmp_path)


def test_image_size_is_at_least_one() -> None:
    with pytest.raises(ValueError, match=r"`image_size` should be at least 1. Found `image_size = 0`"):
        ImageFolderDataModule(image_size=0)
