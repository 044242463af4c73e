from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lightning_abkd.data import CIFAR10DataModule, CIFAR100DataModule, FashionMNISTDataModule, ImageDataModule
from tests.vision.data._formats import (
    accept_any_checksum,
    write_cifar10,
    write_cifar100,
    write_fashion_mnist,
    write_fashion_mnist_archives,
)

# Image i of the files is grey with value i; a test batch is (i/255 - mean) / std.
GREY = torch.arange(20) / 255


def test_fashion_mnist_reads_the_layout_of_torchvision(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path, 20)
    data = FashionMNISTDataModule(tmp_path, batch_size=20)
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    assert torch.allclose(images, ((GREY - 0.2860) / 0.3530)[:, None, None, None].expand(20, 1, 28, 28))
    assert labels.tolist() == [i % 10 for i in range(20)]


def test_fashion_mnist_reads_archives_and_writes_nothing_beside_them(tmp_path: Path) -> None:
    write_fashion_mnist_archives(tmp_path, 20)
    before = sorted(tmp_path.rglob("*"))
    data = FashionMNISTDataModule(tmp_path, validation_fraction=0.5, batch_size=10)
    data.setup("fit")
    images, labels = next(iter(data.train_dataloader()))
    assert images.shape == (10, 1, 28, 28)
    assert sorted(labels.tolist()) == list(range(10))
    assert sorted(tmp_path.rglob("*")) == before


def test_cifar100_reads_fine_labels_of_the_test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar100(tmp_path, 20)
    accept_any_checksum(monkeypatch)
    data = CIFAR100DataModule(tmp_path, batch_size=20)
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    assert images.shape == (20, 3, 32, 32)
    assert torch.allclose(images[:, 2, 0, 0], (GREY - 0.4408) / 0.2761)
    assert labels.tolist() == list(range(20))


def test_cifar10_joins_its_five_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_cifar10(tmp_path, 20)
    accept_any_checksum(monkeypatch)
    data = CIFAR10DataModule(tmp_path, validation_fraction=0)
    data.setup("fit")
    assert [len(data.sets[split]) for split in ("train", "validation")] == [100, 20]


def test_two_views_and_index_come_from_files(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path, 20)
    data = FashionMNISTDataModule(tmp_path, validation_fraction=0, two_views=True, return_index=True, batch_size=20)
    data.setup("fit")
    (weak, strong), labels, index = next(iter(data.train_dataloader()))
    assert weak.shape == strong.shape == (20, 1, 28, 28)
    assert torch.equal(labels, index % 10)


def test_augmentation_moves_the_image_over_black(tmp_path: Path) -> None:
    augmented = CIFAR100DataModule(tmp_path).transform(augment=True)
    white = torch.full((3, 32, 32), 255, dtype=torch.uint8)
    torch.manual_seed(0)
    images = torch.stack([augmented(white) for _ in range(50)])
    assert images.shape == (50, 3, 32, 32)
    # Black padding shows at the rim only: a crop moves by at most 4 pixels.
    assert images[:, 0, 0].unique().numel() == 2
    assert images[:, 0, 4:-4, 4:-4].unique().numel() == 1


@pytest.mark.parametrize(
    ("data_module", "expected"),
    [
        (
            FashionMNISTDataModule,
            r"FashionMNIST/raw/train-images-idx3-ubyte.*\(or train-images-idx3-ubyte.gz.*Debian's",
        ),
        (CIFAR10DataModule, r"cifar-10-batches-py/data_batch_1.*cifar-10-batches-py/batches.meta"),
        (CIFAR100DataModule, r"cifar-100-python/train, cifar-100-python/test, cifar-100-python/meta"),
    ],
)
def test_missing_folder_is_named_with_the_files_and_the_way_to_get_them(
    tmp_path: Path, data_module: type[ImageDataModule], expected: str
) -> None:
    with pytest.raises(
        FileNotFoundError, match=rf"holds {expected}.*nowhere'`, which does not exist.*`download: true`"
    ):
        data_module(tmp_path / "nowhere").setup("fit")


def test_empty_folder_lacks_every_file(tmp_path: Path) -> None:
    lacks = r"lacks cifar-100-python/train, cifar-100-python/test, cifar-100-python/meta\. Set"
    with pytest.raises(FileNotFoundError, match=lacks):
        CIFAR100DataModule(tmp_path).setup("test")


def test_one_missing_file_is_named_alone(tmp_path: Path) -> None:
    write_cifar100(tmp_path, 1)
    (tmp_path / "cifar-100-python" / "meta").unlink()
    with pytest.raises(FileNotFoundError, match=r"which lacks cifar-100-python/meta\. Set"):
        CIFAR100DataModule(tmp_path).setup("test")


def test_files_of_another_checksum_are_not_called_missing(tmp_path: Path) -> None:
    write_cifar100(tmp_path, 1)
    with pytest.raises(RuntimeError, match=r"intact files. Found .*corrupted.*Delete the files and download them"):
        CIFAR100DataModule(tmp_path).setup("test")


@pytest.mark.parametrize("damage", [lambda content: content[:-20], lambda content: b"no gzip", lambda content: b""])
def test_damaged_archive_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    write_fashion_mnist_archives(tmp_path, 20)
    archive = tmp_path / "train-images-idx3-ubyte.gz"
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(RuntimeError, match=r"intact files. Found `data_dir = .*Delete the files"):
        FashionMNISTDataModule(tmp_path).setup("fit")


def test_truncated_raw_file_is_named(tmp_path: Path) -> None:
    write_fashion_mnist(tmp_path, 20)
    raw = tmp_path / "FashionMNIST" / "raw" / "train-images-idx3-ubyte"
    raw.write_bytes(raw.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match=r"intact files. Found `data_dir = .*Delete the files"):
        FashionMNISTDataModule(tmp_path).setup("fit")


def test_download_is_torchvisions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torchvision.datasets.CIFAR100.download", lambda self: write_cifar100(tmp_path, 4))
    accept_any_checksum(monkeypatch)
    data = CIFAR100DataModule(tmp_path, download=True)
    assert len(data.dataset("train").targets) == 4
