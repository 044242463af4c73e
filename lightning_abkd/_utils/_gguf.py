"""The head of a GGUF file, checked before a reader believes its counts: they may ask for any memory, or lie."""

import math
import mmap
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from lightning_abkd._utils._extras import require

_VERSIONS = (2, 3)
_STRING = 8
_ARRAY = 9
# Bytes of a value by the number of its type.
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Far above every model; a reader would loop for hours over more.
_MOST = {"entries": 2**16, "tensors": 2**20, "texts": 2**24, "dimensions": 4}
_ALIGNMENT = b"general.alignment"

Sizes = Mapping[int, tuple[int, int]]
"""Values of a block and its bytes, by the number of a tensor's type."""


def check_gguf_file(folder: str, name: str | None) -> None:
    """Check the GGUF file in a local folder before anything reads it; one on the hub is checked by nobody.

    Raises:
        FileNotFoundError: If the folder has no such file.
        ValueError: As `check_gguf`.
        ModuleNotFoundError: If gguf is missing.
    """
    if name is None:
        return
    gguf = require("gguf", "language", "Reading a GGUF file")
    if not Path(folder).is_dir():
        return
    path = Path(folder, name)
    if not path.is_file() or ".." in Path(name).parts or Path(name).is_absolute():
        raise FileNotFoundError(f"Parameter `gguf_file` should be a file in {folder}. Found none named {name!r}.")
    check_gguf(path, gguf.GGML_QUANT_SIZES)


def check_gguf(path: Path, sizes: Sizes) -> None:
    """Raise an error unless a file is a whole GGUF file: as long as its head says, with counts that can be.

    Args:
        path: The file.
        sizes: `gguf.GGML_QUANT_SIZES`.

    Raises:
        ValueError: If it is another file, was cut off, or its head is broken.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            _Head(data, sizes).check()
    except (ValueError, struct.error) as error:
        found = "its head ends too early" if isinstance(error, struct.error) else str(error)
        raise ValueError(
            f"Parameter `gguf_file` should be a whole GGUF file. Found {path} of {path.stat().st_size} bytes, which is "
            f"none: {found}. It may be cut off or broken: copy it again."
        ) from None


class _Head:
    """Reads the head of a file in its order, never past its end."""

    def __init__(self, data: mmap.mmap, sizes: Sizes) -> None:
        if data[:4] != b"GGUF":
            raise ValueError("it does not begin with GGUF")
        self.data = data
        self.sizes = sizes
        self.place = 4
        self.order = "<"
        self.alignment = 32

    def check(self) -> None:
        version = self._number("I")
        if version not in _VERSIONS:
            self.order = ">"
            self.place = 4
            swapped = self._number("I")
            if swapped not in _VERSIONS:
                raise ValueError(f"its version is {version}, not {' or '.join(map(str, _VERSIONS))}")
        tensors = self._count("tensors")
        for _ in range(self._count("entries")):
            self._entry()
        ends = list(self._ends_of_tensors(tensors))
        begin = math.ceil(self.place / self.alignment) * self.alignment
        if ends and begin + max(ends) > len(self.data):
            raise ValueError(f"its tensors end at byte {begin + max(ends)}")

    def _entry(self) -> None:
        key = self._text()
        kind = self._number("I")
        if key == _ALIGNMENT and kind == 4:
            self.alignment = self._number("I")
            if self.alignment < 1 or self.alignment & (self.alignment - 1):
                raise ValueError(f"its tensors are aligned to {self.alignment} bytes")
        elif kind == _ARRAY:
            self._array()
        else:
            self._skip_value(kind)

    def _array(self) -> None:
        kind = self._number("I")
        if kind != _STRING:
            self._skip(self._number("Q") * self._width(kind))
            return
        for _ in range(self._count("texts")):
            self._text()

    def _skip_value(self, kind: int) -> None:
        if kind == _STRING:
            self._text()
        else:
            self._skip(self._width(kind))

    def _ends_of_tensors(self, count: int) -> Iterator[int]:
        """Yield the byte behind each tensor, from the start of the tensors."""
        for _ in range(count):
            name = self._text().decode(errors="replace")
            dimensions = self._number("I")
            if dimensions > _MOST["dimensions"]:
                raise ValueError(f"its tensor {name!r} has {dimensions} dimensions")
            values = math.prod(self._number("Q") for _ in range(dimensions))
            kind = self._number("I")
            if kind not in self.sizes:
                raise ValueError(f"its tensor {name!r} is of the unknown type {kind}")
            block = self.sizes[kind]
            yield self._number("Q") + math.ceil(values / block[0]) * block[1]

    def _count(self, what: str) -> int:
        count = self._number("Q")
        if count > _MOST[what]:
            raise ValueError(f"it says that it holds {count} {what}")
        return count

    def _text(self) -> bytes:
        length = self._number("Q")
        start = self.place
        self._skip(length)
        return self.data[start : self.place]

    def _width(self, kind: int) -> int:
        if kind not in _WIDTHS:
            raise ValueError(f"it holds a value of the unknown type {kind}")
        return _WIDTHS[kind]

    def _number(self, form: str) -> int:
        (number,) = struct.unpack_from(f"{self.order}{form}", self.data, self.place)
        self.place += struct.calcsize(form)
        return int(number)

    def _skip(self, size: int) -> None:
        if size > len(self.data) - self.place:
            raise ValueError(f"it says that {size} bytes follow byte {self.place}")
        self.place += size
