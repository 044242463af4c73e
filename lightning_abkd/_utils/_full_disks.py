"""What is said where a disk is full."""

import errno
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What libraries in Rust and C++ say.
_SAID = ("No space left on device", "Disk quota exceeded", "File too large")
# What NumPy says.
_CUT = re.compile(r"\d+ requested and \d+ written")
_MB = 1e6


def full_disk(error: BaseException, path: Path, size: Callable[[], int] | None = None) -> OSError | None:
    """Return the error to raise if a file could not be written because its disk is full, else None.

    Args:
        error: What was raised; it or what it was raised from may say so.
        path: The file.
        size: Computes how many bytes the file takes.

    Example:
        >>> str(full_disk(OSError(errno.ENOSPC, "full"), Path("/tmp/a"), lambda: 10**16)).partition(", and ")[0]
        'The disk is full: /tmp/a needs 10000000000.0 MB'
    """
    number = next(filter(None, map(_number, _causes(error))), None)
    if number is None:
        return None
    needs = f"{path} needs {size() / _MB:.1f} MB" if size is not None else f"{path} needs more"
    free = shutil.disk_usage(path.parent).free
    reason = "The disk is full" if number != errno.EFBIG else "The disk takes no file of this size"
    former = " What was there before is as it was." if path.exists() else ""
    found = OSError(f"{reason}: {needs}, and {free / _MB:.1f} MB are free.{former} Make room, or name another folder.")
    found.errno = number
    return found


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it was raised from or during."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno in _FULL:
        return error.errno
    if _CUT.search(str(error)):
        return errno.ENOSPC
    return next((n for n, said in zip(_FULL, _SAID, strict=True) if said in str(error)), None)
