import json

import numpy as np
import pytest
import torch

from lightning_abkd.models import TeacherCache
from tests.language.teachers._teacher_caches import HIDDEN, LOGITS, fill, writer

ALL = torch.arange(4)


def flip(path, place):
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def read(folder, kind):
    cache = TeacherCache(folder)
    if kind == "top_k":
        return cache.top_k(ALL)
    return cache.head(), cache.hidden(ALL)


FILES = [("hidden", name) for name in ("hidden", "head", "done", "token_counts", "checksums")]
FILES += [("top_k", name) for name in ("ids", "log_p", "lost")]


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_a_flipped_bit_is_found_when_it_is_read(tmp_path, kind, name):
    fill(tmp_path, kind).close()
    read(tmp_path, kind)
    file = f"{name}.safetensors" if name == "head" else f"{name}.npy"
    flip(tmp_path / file, -3)
    with pytest.raises(ValueError, match=f"{file} should hold what was written into it. Found other bytes"):
        read(tmp_path, kind)


def test_the_sample_is_named_and_the_others_are_read(tmp_path):
    fill(tmp_path).close()
    flip(tmp_path / "hidden.npy", -1)
    cache = TeacherCache(tmp_path)
    assert torch.equal(cache.hidden(torch.tensor([2, 0])), HIDDEN[[2, 3, 4, 0, 1]].bfloat16())
    with pytest.raises(ValueError, match="hidden.npy .* Found other bytes at sample 3"):
        cache.hidden(ALL)


def test_a_changed_description_is_found(tmp_path):
    fill(tmp_path).close()
    path = tmp_path / "meta.json"
    path.write_text(path.read_text().replace('"scale": 0.5', '"scale": 0.6'))
    with pytest.raises(ValueError, match=r"meta.json should hold what was written"):
        TeacherCache(tmp_path)


@pytest.mark.parametrize("kind", ["hidden", "top_k"])
def test_a_cache_that_was_continued_has_right_checksums(tmp_path, kind):
    made = writer(tmp_path, kind)
    write, values = (made.write_hidden, HIDDEN) if kind == "hidden" else (made.write_top_k, LOGITS)
    write(torch.tensor([3]), values[[5]])
    fill(tmp_path, kind).close()
    fill(tmp_path, kind).close()
    read(tmp_path, kind)
    flip(tmp_path / f"{'hidden' if kind == 'hidden' else 'ids'}.npy", -1)
    with pytest.raises(ValueError, match="at sample 3"):
        read(tmp_path, kind)


@pytest.mark.parametrize(
    "broken", [lambda path: path.unlink(), lambda path: path.write_bytes(b""), lambda path: np.save(path, np.zeros(4))]
)
def test_checksums_are_whole_or_none(tmp_path, broken):
    fill(tmp_path).close()
    broken(tmp_path / "checksums.npy")
    with pytest.raises(ValueError, match="checksums.npy should be a whole file of a teacher cache"):
        TeacherCache(tmp_path)


def test_a_cache_without_checksums_is_read_and_continued(tmp_path):
    made = writer(tmp_path)
    made.write_hidden(torch.tensor([3]), HIDDEN[[5]])
    for name in ("checksums.npy", "checksums.json"):
        (tmp_path / name).unlink(missing_ok=True)
    fill(tmp_path).close("Teacher of another name")
    assert torch.equal(TeacherCache(tmp_path).hidden(ALL), HIDDEN.bfloat16())
    assert TeacherCache(tmp_path).identity.model == "Teacher owner/name 3fa9"
    assert not (tmp_path / "checksums.json").exists()


def test_the_files_of_a_cache_that_was_removed_in_part_do_not_count(tmp_path):
    fill(tmp_path).close()
    (tmp_path / "meta.json").unlink()
    fill(tmp_path, "top_k").close()
    assert json.loads((tmp_path / "checksums.json").read_text())["files"].keys() > {"lost.npy", "meta.json"}
    read(tmp_path, "top_k")
