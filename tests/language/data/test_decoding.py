import bz2
import gzip
import lzma
import sys

import pytest

from lightning_abkd.language.data._decoding import check_unicode, read_text, unified_lines

TEXT = "Wörter\u2028 und \U0001f600\0\n"


def zstandard(data):
    return pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra 'language'").compress(
        data, codec="zstd", asbytes=True
    )


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.txt"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_gives_the_same_text(file, encoding):
    file.write_bytes(TEXT.encode(encoding))
    assert read_text(file) == TEXT


def test_the_byte_order_mark_of_either_order_is_no_text(file):
    for encoding in ("utf-16-le", "utf-16-be"):
        file.write_bytes(f"\ufeff{TEXT}".encode(encoding))
        assert read_text(file) == TEXT


def test_a_zero_character_at_the_start_is_no_sign_of_utf_16(file):
    for text in ("a\0bcdefgh", "\0abcdefgh"):
        file.write_text(text)
        assert read_text(file) == text


@pytest.mark.parametrize("compress", [gzip.compress, zstandard, bz2.compress, lzma.compress])
def test_compressed_files_are_known_by_their_first_bytes(file, compress):
    file.write_bytes(compress(TEXT.encode()))
    assert read_text(file) == TEXT


@pytest.mark.parametrize("compress", [gzip.compress, zstandard, bz2.compress, lzma.compress])
def test_a_compressed_file_that_was_cut_is_named(file, compress):
    file.write_bytes(compress(TEXT.encode() * 9)[:-9])
    with pytest.raises(ValueError, match=r"a.txt should be a whole (gzip|zstd|bzip2|xz) file. Found a broken one: "):
        read_text(file)


def test_members_of_a_compressed_file_are_all_read(file):
    file.write_bytes(gzip.compress(b"a\n") + gzip.compress(b"b\n"))
    assert read_text(file) == "a\nb\n"


def test_zstd_names_the_extra_that_reads_it(file, monkeypatch):
    file.write_bytes(b"\x28\xb5\x2f\xfd")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"zstd files needs pyarrow: pip install .*language"):
        read_text(file)


def test_another_encoding_is_named_with_its_line(file):
    file.write_bytes("eins\nWörter\n".encode("latin-1"))
    with pytest.raises(ValueError, match="UTF-8 or UTF-16. Found the byte 0xf6 in line 2.* Save the file as UTF-8"):
        read_text(file)


def test_line_breaks_of_every_system_are_one():
    assert unified_lines("a\r\nb\rc\n\nd") == "a\nb\nc\n\nd"


def test_half_a_character_is_named():
    assert check_unicode("\U0001f600", "It") == "\U0001f600"
    with pytest.raises(ValueError, match=r"It should be Unicode. Found half a character, U\+D83D, at position 2"):
        check_unicode("a \ud83d", "It")
