import json

import pytest

from lightning_abkd.data import read_records

RECORD = {"instruction": "Add.", "input": "1 and 2", "output": "3"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", json.dumps(RECORD) + "\n\n"),
        ("a.json", json.dumps([RECORD])),
        ("a.csv", "instruction,input,output\nAdd.,1 and 2,3\n"),
        ("b.jsonl", json.dumps({"prompt": "Add.", "context": "1 and 2", "response": 3})),
    ],
)
def test_every_layout_gives_the_same_records(tmp_path, name, text):
    (path := tmp_path / name).write_text(text)
    assert read_records(path) == [("Add.", "1 and 2", "3")]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"instruction": "a", "output": "b"}\n{broken\n[', "Found 2 broken, the first is line 2"),
        ("a.jsonl", '{"instruction": "a"}', "record 1 should have a column output or response. Found instruction"),
        ("a.jsonl", "3", "record 1 should be an object. Found int"),
        ("a.jsonl", "", "Found an empty file"),
        ("a.json", "{}", "should hold a list of records. Found dict"),
        ("a.txt", "x", r"Found the suffix '.txt'"),
    ],
)
def test_broken_files_are_named(tmp_path, name, text, message):
    (path := tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_records(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no file at .*none.jsonl"):
        read_records(tmp_path / "none.jsonl")
