"""Files that are written whole or not at all."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from lightning_abkd._utils._full_disks import full_disk
from lightning_abkd._utils._identity import digest


def write_whole(path: str | Path, size: Callable[[], int] | None = None) -> AbstractContextManager[Path]:
    """Give the path of a temporary file or folder beside `path`, which it replaces when the block ends well.

    If the process is killed while it writes, the disk is full or the power fails, the former file stays as it was.

    Args:
        path: The file to write.
        size: Computes how many bytes it takes, for the error of a full disk.

    Raises:
        OSError: If the disk is full.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with write_whole(Path(folder, "a.txt")) as part:
        ...         _ = part.write_text("all of it")
        ...     Path(folder, "a.txt").read_text()
        'all of it'
    """
    path = Path(path)
    return _whole(path, path.with_name(f"{path.name}.{os.getpid()}.part"), size)


def write_whole_by_one(
    path: Path, size: Callable[[], int] | None = None, over_folder: bool = False
) -> AbstractContextManager[Path]:
    """Do as `write_whole` for a file that one process writes at a time.

    What is left of a process that was killed goes with the next write. Its name has nothing of the file's, in which
    Lightning would read numbers. A folder stays where it is unless it may be replaced.
    """
    return _whole(path, part_of(path), size, over_folder)


def part_of(path: Path) -> Path:
    """Return the path of the temporary file or folder of `write_whole_by_one`."""
    return path.with_name(f".{digest(path.name.encode())[:16]}.part")


@contextmanager
def _whole(path: Path, part: Path, size: Callable[[], int] | None, over_folder: bool = False) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(part)
    try:
        yield part
        replace_whole(part, path, over_folder)
    except Exception as error:
        named = full_disk(error, path, size)
        if named is None:
            raise
        raise named from error
    finally:
        remove(part)


@contextmanager
def write_files_whole(folder: Path) -> Iterator[Path]:
    """Give a temporary folder beside `folder`, whose files go there when the block ends well; others stay.

    If the process is killed while it writes or the disk is full, the former files stay as they were.

    Raises:
        OSError: If the disk is full.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(folder)
    remove(part)
    try:
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            _flush(file)
        for file in [each for each in part.rglob("*") if each.is_file()]:
            place = folder / file.relative_to(part)
            if place.parent != folder and place.parent.is_symlink():
                # What it leads to lies elsewhere.
                place.parent.unlink()
            place.parent.mkdir(parents=True, exist_ok=True)
            file.replace(place)
    except Exception as error:
        named = full_disk(error, folder)
        if named is None:
            raise
        raise named from error
    finally:
        remove(part)


def replace_whole(part: Path, path: Path, over_folder: bool = False) -> None:
    """Put a file or folder that is complete in the place of another one; both are on the disk afterwards.

    Raises:
        IsADirectoryError: If there is a folder that may not be replaced.
    """
    for file in [part] if part.is_file() else part.iterdir():
        _flush(file)
    is_folder = path.is_dir() and not path.is_symlink()
    if not is_folder and not part.is_dir():
        part.replace(path)
    elif is_folder and not over_folder:
        raise IsADirectoryError(f"{path} should be a file. Found a folder. Name another path.")
    else:
        # A folder is not replaced in one step: the former one stays beside it until the new one is there.
        former = part.with_suffix(".former")
        remove(former)
        if path.exists():
            path.replace(former)
        part.replace(path)
        remove(former)
    _flush(path.parent)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Write what the system keeps of a file or folder to its disk; only POSIX can do it for a folder."""
    if os.name != "posix" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
