import errno
import os
import shutil
from collections import namedtuple

import pytest
import torch

from lightning_abkd.language.teachers._cache_files import reserve
from lightning_abkd.models import TeacherCache
from tests.language.teachers._teacher_caches import HEAD, D, fill, writer


def test_files_of_another_shape_are_refused(tmp_path):
    fill(tmp_path / "a").close()
    fill(tmp_path / "b", "top_k").close()
    shutil.copy(tmp_path / "b" / "ids.npy", tmp_path / "a" / "hidden.npy")
    with pytest.raises(ValueError, match=r"it holds int32 \(6, 3\) instead of i2 \(6, 4\)"):
        TeacherCache(tmp_path / "a")


def test_a_creation_that_was_killed_begins_anew(tmp_path):
    fill(tmp_path)
    (tmp_path / "meta.json").unlink()
    assert writer(tmp_path).pending(torch.arange(4)).tolist() == [True, False, True, True]


def test_too_small_a_disk_is_an_error_before_writing(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "free")
    # 6 tokens of 8 bytes, and 11 · 4 + 11 numbers of the head.
    size = 6 * 2 * D + 55 * HEAD.weight.element_size()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(size - 1))
    with pytest.raises(OSError, match="needs 0.0 MB, and 0.0 MB are free"):
        writer(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(size))
    writer(tmp_path)


def test_what_a_killed_process_had_created_is_created_again(tmp_path):
    (tmp_path / "hidden.npy").write_bytes(bytes(10_000_000))
    fill(tmp_path)
    assert (tmp_path / "hidden.npy").stat().st_size < 1000


@pytest.mark.parametrize("refusal", ["missing", errno.EOPNOTSUPP, errno.EINVAL])
def test_space_is_reserved_by_zeros_where_the_system_cannot(tmp_path, monkeypatch, refusal):
    def refuse(*unused):
        raise OSError(refusal, "cannot")

    if refusal == "missing":
        monkeypatch.delattr(os, "posix_fallocate", raising=False)
    else:
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    with (tmp_path / "a").open("wb") as file:
        file.write(b"header")
        file.truncate(100_000)
    reserve(tmp_path / "a", 100_000, 6)
    assert (tmp_path / "a").read_bytes() == b"header" + bytes(99_994)
    assert (tmp_path / "a").stat().st_blocks * 512 >= 100_000


def test_another_error_of_the_disk_is_raised(tmp_path, monkeypatch):
    def refuse(*unused):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    with pytest.raises(OSError, match="broken"):
        writer(tmp_path)
