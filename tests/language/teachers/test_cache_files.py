import shutil
from collections import namedtuple

import pytest
import torch

from lightning_abkd.models import TeacherCache
from tests.language.teachers._teacher_caches import D, fill, writer


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
    # 6 tokens of 8 bytes, and 11 · 4 + 11 numbers of 4 bytes
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(6 * 2 * D + 220 - 1))
    with pytest.raises(OSError, match="needs 0.0 GB. Found 0.0 GB free"):
        writer(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(6 * 2 * D + 220))
    writer(tmp_path)
