"""A disk that is soon full."""

import ctypes
import os
import resource
from pathlib import Path

_NEW_MOUNTS = 0x20000
_NEW_USER = 0x10000000
_PRIVATE = (1 << 18) | (1 << 14)


def small_disk(folder: Path, size: int) -> None:
    """Mount a disk of some bytes at a folder, for this process alone; where that is not allowed limit its files."""
    folder.mkdir(parents=True, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    is_root = os.getuid() == 0
    done = libc.unshare(_NEW_MOUNTS if is_root else _NEW_MOUNTS | _NEW_USER) == 0
    done = done and libc.mount(None, b"/", None, _PRIVATE, None) == 0
    done = done and libc.mount(b"none", str(folder).encode(), b"tmpfs", 0, f"size={size}".encode()) == 0
    if not done:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fill(folder: Path) -> None:
    """Write a file until the disk is full, or as large as one may become."""
    try:
        with (folder / "rest").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
    except OSError:
        return
