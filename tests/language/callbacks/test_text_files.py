import json

import pytest

from lightning_abkd.language.callbacks._text_files import append_lines, write_text


def test_lines_are_added_and_files_replaced(tmp_path):
    path = tmp_path / "folder" / "a.jsonl"
    write_text(path, "old")
    write_text(path, "")
    append_lines(path, [{"a": "x\ny\u2028"}])
    append_lines(path, [{"b": 1}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": "x\ny\u2028"}, {"b": 1}]
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_written_keeps_its_text(tmp_path):
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\ud800")
    assert (tmp_path / "a.txt").read_text() == "old"
