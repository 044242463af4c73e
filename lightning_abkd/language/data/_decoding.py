"""Files as bytes and as text: what they are compressed with, and how their characters are encoded."""

import bz2
import gzip
import json
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

from lightning_abkd._utils import require

# A mark of the encoding that Windows tools write at the start of a file.
BYTE_ORDER_MARK = "\ufeff"


def _zstandard(data: bytes) -> bytes:
    pyarrow = require("pyarrow", "language", "Reading zstd files")
    return bytes(pyarrow.input_stream(pyarrow.py_buffer(data), compression="zstd").read())


# By the bytes that such files start with, so that a wrong suffix does no harm.
_COMPRESSIONS: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
    b"\x1f\x8b": ("gzip", gzip.decompress),
    b"\x28\xb5\x2f\xfd": ("zstd", _zstandard),
    b"BZh91AY&SY": ("bzip2", bz2.decompress),
    b"\xfd7zXZ\x00": ("xz", lzma.decompress),
}
COMPRESSED_SUFFIXES = (".gz", ".zst", ".bz2", ".xz")


def read_bytes(path: Path) -> bytes:
    """Read a file, decompressed if it is compressed with gzip, zstd, bzip2 or xz.

    Raises:
        ValueError: If the compressed file is broken.
        ModuleNotFoundError: If pyarrow is missing for a zstd file.
    """
    data = path.read_bytes()
    for start, (name, decompress) in _COMPRESSIONS.items():
        if data.startswith(start):
            try:
                return decompress(data)
            except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError) as error:
                raise ValueError(f"{path} should be a whole {name} file. Found a broken one: {error}.") from error
    return data


def read_text(path: Path) -> str:
    """Read a file of text in UTF-8 or UTF-16, without its byte order mark.

    Raises:
        ValueError: If it is in another encoding, or compressed and broken.
        ModuleNotFoundError: If pyarrow is missing for a zstd file.
    """
    data = read_bytes(path)
    encoding = _encoding(data)
    try:
        return data.decode(encoding).removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"{path} should be text in UTF-8 or UTF-16. "
            f"Found the byte {data[error.start]:#04x} in line {line}, which {encoding} does not allow there. "
            "Save the file as UTF-8."
        ) from error


def _encoding(data: bytes) -> str:
    """Tell the Unicode encodings apart as JSON does: by a mark, or by where the first zero bytes are."""
    found = json.detect_encoding(data)
    # Half of the bytes of ASCII in UTF-16 are zero; a few are characters of UTF-8.
    is_guess = found.endswith(("-le", "-be"))
    return "utf-8" if is_guess and data.count(0) * 4 < len(data) else found


def unified_lines(text: str) -> str:
    r"""Return a text whose line breaks are all "\n", whatever system wrote it."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def check_unicode(text: str, what: str) -> str:
    """Return a text if it is Unicode: JSON can hold halves of characters, which no tokenizer takes.

    Raises:
        ValueError: If it holds half a character.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = ord(text[error.start])
        raise ValueError(
            f"{what} should be Unicode. Found half a character, U+{half:04X}, at position {error.start}."
        ) from error
    return text
