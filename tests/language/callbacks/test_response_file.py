import json

import pytest

from lightning_abkd.language.callbacks._response_file import ResponseFile

ORIGIN = {"data": "7 samples", "seed": 0}


def begun(folder, count):
    """A file of 7 responses in batches of 3, of which some are written."""
    file = ResponseFile(folder / "a.jsonl")
    assert file.resume(ORIGIN, 7, 3) == 0
    file.append({"output": "x", "index": i} for i in range(count))
    return file


def indices(file):
    return [json.loads(line)["index"] for line in file.path.read_text().splitlines()]


@pytest.mark.parametrize(("written", "kept"), [(0, 0), (2, 0), (3, 3), (5, 3), (6, 6), (7, 7)])
def test_whole_batches_are_kept(tmp_path, written, kept):
    file = begun(tmp_path, written)
    assert file.resume(ORIGIN, 7, 3) == kept
    assert indices(file) == list(range(kept))


def test_a_line_that_was_being_written_is_removed(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.callbacks._response_file.rank_zero_info", logged.append)
    file = begun(tmp_path, 3)
    with file.path.open("a") as lines:
        lines.write('{"output": "x')
    assert file.resume(ORIGIN, 7, 3) == 3
    assert indices(file) == [0, 1, 2]
    ending = "continues after 3 of 7 responses. The batch that was cut short is written again."
    assert logged == [f"{file.path}: {ending}"]


def test_another_origin_is_refused(tmp_path):
    file = begun(tmp_path, 3)
    with pytest.raises(ValueError, match="should be continued as it was begun. Found `seed = 1`, begun with 0"):
        file.resume(ORIGIN | {"seed": 1}, 7, 3)
    (tmp_path / "a.jsonl.json").unlink()
    with pytest.raises(ValueError, match="a.jsonl.json beside it to be continued. Found none"):
        file.resume(ORIGIN, 7, 3)


@pytest.mark.parametrize("text", ['{"index": 1}\n', "no json\n", "[]\n"])
def test_a_changed_file_is_refused(tmp_path, text):
    file = begun(tmp_path, 0)
    file.path.write_text(text)
    with pytest.raises(ValueError, match="should hold a line for each index in turn"):
        file.resume(ORIGIN, 7, 3)
