"""What torch saves, written whole or not at all."""

from pathlib import Path
from typing import IO, cast

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from lightning_abkd._utils import write_whole_by_one


def save_whole(content: object, path: Path, over_folder: bool = False) -> None:
    """Write a file by `torch.save`, in the place of the former one when all of it is on the disk.

    Args:
        content: What to save.
        path: The file.
        over_folder: Whether it may take the place of a folder.

    Raises:
        OSError: If the disk is full; it says how much is needed. The former file stays as it was.
    """
    # Given a path, torch reports a full disk without saying so.
    with write_whole_by_one(path, lambda: saved_size(content), over_folder) as part, part.open("wb") as file:
        torch.save(content, file)


def saved_size(content: object) -> int:
    """Count the bytes of the file that `torch.save` would write."""
    counter = _Counter()
    torch.save(content, cast(IO[bytes], counter))
    return counter.count


def keep_own_memory(weights: dict[str, object]) -> None:
    """Copy, in place, the tensors that lie in larger memory, such as a teacher's: all of it would be saved."""
    for name, value in weights.items():
        if not isinstance(value, Tensor) or isinstance(value, DTensor) or value.layout != torch.strided:
            continue
        if not value.is_meta and value.untyped_storage().nbytes() > value.numel() * value.element_size():
            weights[name] = value.detach().clone()


class _Counter:
    """A file that keeps nothing but its size."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, data: bytes | memoryview) -> int:
        """Count some bytes."""
        size = memoryview(data).nbytes
        self.count += size
        return size

    def flush(self) -> None:
        """Do nothing."""
