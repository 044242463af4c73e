import json

import pytest

from lightning_abkd.language.teachers._cache_meta import read_meta
from tests.language.teachers._teacher_caches import IDENTITY, fill


def change(folder, **entries):
    path = folder / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_meta_is_readable_json_with_identity_and_statistics(tmp_path):
    fill(tmp_path, "top_k").close()
    content = json.loads((tmp_path / "meta.json").read_text())
    assert (content["version"], content["identity"]) == (1, vars(IDENTITY))
    assert content["statistics"]["tokens"] == 6
    assert not list(tmp_path.glob("*.part"))


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
