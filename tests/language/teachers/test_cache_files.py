import json
import shutil
from collections import namedtuple

import pytest
import torch

from lightning_abkd.language.teachers._cache_files import Ragged, read_meta
from lightning_abkd.models import TeacherCache
from tests.language.teachers._teacher_caches import HEAD, IDENTITY, D, fill, writer


def change(folder, **entries):
    path = folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_meta_is_readable_json_with_identity_and_statistics(tmp_path):
    fill(tmp_path, "top_k").close()
    content = json.loads((tmp_path / "meta.json").read_text())
    assert (content["version"], content["identity"]) == (1, vars(IDENTITY))
    assert content["statistics"]["tokens"] == 6
    assert not (tmp_path / "meta.json.tmp").exists()


def test_another_version_is_refused(tmp_path):
    fill(tmp_path).close()
    change(tmp_path, version=2, novelty=True)
    with pytest.raises(ValueError, match="should be of version 1. Found version 2"):
        read_meta(tmp_path)


@pytest.mark.parametrize("entries", [{"novelty": True}, {"identity": {"model": "x"}}, {"statistics": 3}])
def test_meta_with_other_entries_is_refused(tmp_path, entries):
    fill(tmp_path).close()
    change(tmp_path, **entries)
    with pytest.raises(ValueError, match=r"meta.json should be a whole file.*TypeError"):
        read_meta(tmp_path)


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


def test_too_small_a_disk_is_said_before_writing(tmp_path, monkeypatch):
    usage = namedtuple("Usage", "free")
    # 6 tokens of 8 bytes, and 11 · 4 + 11 numbers of the head.
    size = 6 * 2 * D + 55 * HEAD.weight.element_size()
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(size - 1))
    with pytest.raises(OSError, match="needs 0.0 GB. Found 0.0 GB free"):
        writer(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(size))
    writer(tmp_path)


def test_rows_are_those_of_the_samples_in_their_order():
    samples = Ragged(torch.tensor([2, 0, 3, 1]))
    assert samples.rows(torch.tensor([3, 1, 2, 3])).tolist() == [5, 2, 3, 4, 5]
    assert samples.rows(torch.tensor([], dtype=torch.int64)).tolist() == []


@pytest.mark.parametrize("indices", [[-1], [4], [[0]]])
def test_positions_outside_the_data_set_are_refused(indices):
    with pytest.raises(ValueError, match=r"positions from 0 to 3, shape \(B,\)"):
        Ragged(torch.tensor([2, 0, 3, 1])).positions(torch.tensor(indices))
