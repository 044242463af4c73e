import csv
import gzip
import json

import pytest

from lightning_abkd.language.data._record_files import check_file, check_files, read_rows

ROW = {"instruction": "Add.", "output": "3"}
LINE = json.dumps(ROW)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", f"{LINE}\r\n\r\n"),
        ("a.ndjson", f"{LINE}\n"),
        ("A.JSONL", LINE),
        ("lines.json", f"{LINE}\n{LINE}\n"),
        ("a.csv", "instruction,output\r\nAdd.,3\r\n"),
        ("excel.csv", "instruction;output\nAdd.;3\n"),
        ("sep.csv", "sep=;\r\ninstruction;output\r\nAdd.;3\r\n"),
        ("a.tsv", "instruction\toutput\nAdd.\t3\n"),
    ],
)
def test_layouts_of_other_tools_give_the_same_rows(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    assert read_rows(tmp_path / name)[0] == ROW


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl"])
def test_a_compressed_file_is_read_by_its_content(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(LINE.encode()))
    assert read_rows(tmp_path / name) == [ROW]


def test_separators_of_unicode_do_not_end_a_line(tmp_path):
    rows = [{"text": "a\u2028b\x85c\x0bd\0"}, {"text": "e"}]
    (path := tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert read_rows(path) == rows


def test_marks_inside_joined_files_are_no_text(tmp_path):
    (path := tmp_path / "a.jsonl").write_text(f"\ufeff{LINE}\n\ufeff{LINE}\n")
    assert read_rows(path) == [ROW, ROW]
    (path := tmp_path / "a.txt").write_text("\ufeffone\r\n\r\n\ufefftwo\r\n")
    assert read_rows(path) == [{"text": "one"}, {"text": "two"}]


def test_fields_may_be_of_any_length_and_hold_lines(tmp_path):
    limit = csv.field_size_limit()
    (path := tmp_path / "a.csv").write_text(f'instruction,output\n"{"x" * 200_000}","a\n\n""b"", c"\n')
    assert read_rows(path) == [{"instruction": "x" * 200_000, "output": 'a\n\n"b", c'}]
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,2,3\n", "record 2 should have 2 fields, as many as the header. Found 3"),
        ("a,b\n1\n", "record 1 should have 2 fields, as many as the header. Found 1"),
        ("a,b,a\n1,2,3\n", "should name every column once. Found a several times"),
        ('a,b\n1,"2\n', "should be CSV. Found unexpected end of data in line 2"),
        ('a,b\n1,"2"3\n', "should be CSV. Found .* in line 2"),
        ("a,b\n", "Found an empty file"),
    ],
)
def test_broken_tables_are_named(tmp_path, text, message):
    (path := tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_rows(path)


def test_files_are_checked_without_being_read(tmp_path):
    (tmp_path / "a.jsonl.zst").write_text("broken")
    check_file(tmp_path / "a.jsonl.zst")
    with pytest.raises(FileNotFoundError, match="Found no file at .*b.jsonl"):
        check_files([tmp_path / "a.jsonl.zst", tmp_path / "b.jsonl"])
    (tmp_path / "a.doc.gz").touch()
    with pytest.raises(ValueError, match="Found the suffix '.doc' of .*a.doc.gz"):
        check_file(tmp_path / "a.doc.gz")


def test_names_of_columns_need_a_file():
    with pytest.raises(ValueError, match="`columns` should be for files of yours. Found none; set `train_file`"):
        check_files([], {"instruction": "question"})


@pytest.mark.parametrize("text", ["[" * 100_000, f"[{'9' * 9_999}]"])
def test_json_that_python_cannot_hold_is_named(tmp_path, text):
    for name, message in (("a.json", "a.json should be JSON that can be read"), ("a.jsonl", "Found 1 broken lines")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match=message):
            read_rows(tmp_path / name)
