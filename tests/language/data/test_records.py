import json
import sys

import pytest

from lightning_abkd.data import Record, read_records
from tests.language.data._text import conversation

RECORD = {"instruction": "Add.", "input": "1 and 2", "output": "3"}


@pytest.fixture
def datasets():
    module = pytest.importorskip("datasets", reason="needs datasets, of the extra 'language'")
    module.disable_progress_bars()
    return module


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", json.dumps(RECORD) + "\n\n"),
        ("a.json", json.dumps([RECORD])),
        ("a.csv", "instruction,input,output\nAdd.,1 and 2,3\n"),
        ("b.jsonl", json.dumps({"prompt": "Add.", "context": "1 and 2", "response": 3})),
        ("c.jsonl", json.dumps(RECORD | {"text": "Add. 3"})),
    ],
)
def test_every_layout_gives_the_same_records(tmp_path, name, text):
    (path := tmp_path / name).write_text(text)
    assert read_records(path) == [Record(("3",), "Add.", "1 and 2")]


def test_parquet_gives_the_same_records(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra 'language'")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist([RECORD]), tmp_path / "a.parquet")
    assert read_records(tmp_path / "a.parquet") == [Record(("3",), "Add.", "1 and 2")]


def test_saved_data_sets_give_the_same_records(tmp_path, datasets):
    saved = datasets.Dataset.from_list([RECORD])
    saved.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": saved}).save_to_disk(tmp_path / "split")
    for folder in ("one", "split", "split/train"):
        assert read_records(tmp_path / folder) == [Record(("3",), "Add.", "1 and 2")]


def test_several_splits_are_named(tmp_path, datasets):
    saved = datasets.Dataset.from_list([RECORD])
    datasets.DatasetDict({"train": saved, "test": saved}).save_to_disk(tmp_path)
    with pytest.raises(ValueError, match="should hold one split. Found train, test. Name one of its folders"):
        read_records(tmp_path)


@pytest.mark.parametrize(("output", "responses"), [(["3", "three"], ("3", "three")), ([], ("",)), (None, ("",))])
def test_outputs_may_be_several_or_none(tmp_path, output, responses):
    (path := tmp_path / "a.jsonl").write_text(json.dumps({"prompt": "Add.", "output": output}))
    assert read_records(path) == [Record(responses, "Add.")]


def test_last_message_of_the_assistant_is_the_response(tmp_path):
    chat = conversation("Hi", "Hello", "Go", "Bye", "Wait")
    (path := tmp_path / "a.jsonl").write_text(json.dumps(chat | {"prompt": "Hi"}))
    assert read_records(path) == [Record(("Bye",), messages=tuple(chat["messages"][:3]))]


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.txt", "\none\ntwo\n \n\nthree\n"), ("a.jsonl", '{"text": "one\\ntwo"}\n{"text": "three"}')],
)
def test_plain_text_is_one_record_a_document(tmp_path, name, text):
    (path := tmp_path / name).write_text(text)
    records = read_records(path)
    assert records == [Record(("one\ntwo",)), Record(("three",))]
    assert all(record.is_text for record in records)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"instruction": "a", "output": "b"}\n{broken\n[', "Found 2 broken lines, first line 2"),
        ("a.jsonl", '{"instruction": "a"}', "record 1 should have a column output or response. Found instruction"),
        ("a.jsonl", '{"output": "a"}', "a column instruction or prompt, or a column messages or text. Found output"),
        ("a.jsonl", '{"messages": "a"}', "should have `messages` that each have role and content. Found 'a'"),
        ("a.jsonl", json.dumps(conversation("a")), "a message of the assistant .* Found the roles user"),
        ("a.jsonl", "3", "record 1 should be an object. Found int"),
        ("a.jsonl", "", "Found an empty file"),
        ("a.txt", "\n \n", "Found an empty file"),
        ("a.json", "{}", "should hold a list of records. Found dict"),
        ("a.json", "[\n{]", "should be JSON. Found .* in line 2"),
        ("a.xml", "x", r"Found the suffix '.xml'"),
    ],
)
def test_broken_files_are_named(tmp_path, name, text, message):
    (path := tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_records(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no file at .*none.jsonl"):
        read_records(tmp_path / "none.jsonl")


def test_other_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="should be written by `datasets.Dataset.save_to_disk`"):
        read_records(tmp_path)


@pytest.mark.parametrize(("name", "package"), [("a.parquet", "pyarrow.parquet"), ("folder", "datasets")])
def test_missing_package_is_named_with_its_extra(tmp_path, monkeypatch, name, package):
    path = tmp_path / name
    path.touch() if path.suffix else path.mkdir()
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[language\]'"):
        read_records(path)
