"""Tiny data sets in the formats of the real ones: grey images whose classes take turns."""

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets


def write_fashion_mnist(folder: Path, n: int) -> None:
    """Write `n` training and `n` test images as torchvision unpacks them, below `folder/FashionMNIST/raw`."""
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in _idx_files(n).items():
        (raw / name).write_bytes(content)


def write_fashion_mnist_archives(folder: Path, n: int) -> None:
    """Write the four .gz files of `n` training and `n` test images into `folder`."""
    for name, content in _idx_files(n).items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))


def write_cifar10(folder: Path, n: int) -> None:
    """Write `n` images into each of the six batches; checksums differ from the real ones, see below."""
    _write_cifar(folder, n, datasets.CIFAR10, "labels", 10)


def write_cifar100(folder: Path, n: int) -> None:
    """Write `n` training and `n` test images; checksums differ from the real ones, see `accept_any_checksum`."""
    _write_cifar(folder, n, datasets.CIFAR100, "fine_labels", 100)


def accept_any_checksum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torchvision read CIFAR files that only exist."""
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5=None: Path(path).is_file())


def write_image_folder(folder: Path, classes: int, per_class: int, splits: tuple[str, ...] = ("train", "val")) -> None:
    """Write PNGs of 12×16 into `folder/<split>/class_<i>/<j>.png`."""
    for split in splits:
        for label in range(classes):
            target = folder / split / f"class_{label}"
            target.mkdir(parents=True)
            for j in range(per_class):
                Image.new("RGB", (16, 12), color=(60 * j % 256,) * 3).save(target / f"{j}.png")


def _images(n: int, size: int) -> np.ndarray:
    return np.repeat(np.arange(n, dtype=np.uint8)[:, None], size, axis=1)


def _idx_files(n: int) -> dict[str, bytes]:
    def header(magic: int, *shape: int) -> bytes:
        return b"".join(number.to_bytes(4, "big") for number in (magic, *shape))

    images = header(0x803, n, 28, 28) + _images(n, 28 * 28).tobytes()
    labels = header(0x801, n) + bytes(i % 10 for i in range(n))
    names = {"images-idx3-ubyte": images, "labels-idx1-ubyte": labels}
    return {f"{part}-{name}": content for part in ("train", "t10k") for name, content in names.items()}


def _write_cifar(folder: Path, n: int, source: type[datasets.CIFAR10], key: str, classes: int) -> None:
    base = folder / source.base_folder
    base.mkdir(parents=True)
    batch = {"data": _images(n, 3 * 32 * 32), key: [i % classes for i in range(n)]}
    for name, _ in source.train_list + source.test_list:
        (base / name).write_bytes(pickle.dumps(batch))
    meta = {source.meta["key"]: [f"class_{i}" for i in range(classes)]}
    (base / source.meta["filename"]).write_bytes(pickle.dumps(meta))
