"""Files of instructions and conversations as the tools that write them lay them out."""

import gzip
import json

import pytest

from lightning_abkd.data import InstructionDataModule, Record, read_records
from tests.language.data._text import chat_tokenizer, instruction_only

ASK, SAY = {"role": "user", "content": "ask"}, {"role": "assistant", "content": "say"}
TASK, CHAT = Record(("say",), "ask"), Record(("say",), messages=(ASK,))
ROWS = [{"instruction": "ask", "output": "say"}, {"messages": [ASK, SAY]}, {"text": "plain"}]
RECORDS = [TASK, CHAT, Record(("plain",))]


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas", reason="needs pandas, of the extra 'language'")


@pytest.fixture
def datasets():
    module = pytest.importorskip("datasets", reason="needs datasets, of the extra 'language'")
    module.disable_progress_bars()
    return module


def lines(path, *rows, encoding="utf-8"):
    path.write_text("".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows), encoding=encoding)
    return path


def union(rows):
    """Rows with all columns of all rows, null where a row lacks one."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [{name: row.get(name) for name in names} for row in rows]


def test_datasets_fills_what_a_row_lacks_with_nulls(tmp_path, datasets):
    saved = datasets.Dataset.from_list(union(ROWS))
    saved.to_parquet(tmp_path / "a.parquet")
    saved.to_json(tmp_path / "a.json")
    saved.save_to_disk(tmp_path / "folder")
    for name in ("a.parquet", "a.json", "folder"):
        assert read_records(tmp_path / name) == RECORDS


def test_pandas_fills_what_a_row_lacks_with_nan(tmp_path, pandas):
    table = pandas.DataFrame([*ROWS[::2], {"instruction": "ask", "output": "say", "input": float("nan")}])
    table.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "a.tsv", index=True, sep="\t")
    table.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, table.to_dict("records"))))
    for name in ("a.jsonl", "a.csv", "a.tsv", "a.parquet", "b.jsonl"):
        assert read_records(tmp_path / name) == [TASK, RECORDS[2], TASK]


def test_calls_that_lack_each_others_keys_are_unchanged_by_arrow(tmp_path, datasets):
    calls = [{"function": {"name": "a", "arguments": {"x": 1}}}, {"function": {"name": "b", "arguments": {"y": "z"}}}]
    rows = [{"messages": [ASK, {"role": "assistant", "content": None, "tool_calls": [call]}]} for call in calls]
    datasets.Dataset.from_list(rows).to_parquet(path := tmp_path / "a.parquet")
    assert [record.reply["tool_calls"] for record in read_records(path)] == [[call] for call in calls]
    assert [record.messages for record in read_records(path)] == [(ASK,), (ASK,)]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_windows_writes_marks_and_line_breaks_of_its_own(tmp_path, encoding, newline):
    texts = {
        "a.jsonl": "\n".join(map(json.dumps, ROWS)),
        "a.json": json.dumps(ROWS, indent=1),
        "a.csv": "instruction,output\nask,say\n",
        "a.txt": "plain\n\nmore\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        plain = read_records(tmp_path / name)
        (tmp_path / name).write_bytes(text.replace("\n", newline).encode(encoding))
        assert read_records(tmp_path / name) == plain


def test_files_of_the_hub_are_compressed(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow, of the extra 'language'")
    text = lines(tmp_path / "a.jsonl", *ROWS).read_bytes()
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text))
    (tmp_path / "a.jsonl.zst").write_bytes(pyarrow.compress(text, codec="zstd", asbytes=True))
    for name in ("a.jsonl.gz", "a.jsonl.zst"):
        assert read_records(tmp_path / name) == RECORDS


def test_separators_of_unicode_stay_in_the_text(tmp_path):
    text = "a\u2028b\u2029c\x85d\0e\x1ef"
    assert read_records(lines(tmp_path / "a.jsonl", {"text": text}, {"text": "b"}))[0].responses == (text,)


def test_half_characters_are_named(tmp_path):
    (path := tmp_path / "a.jsonl").write_text('{"text": "a"}\n{"text": "b \\ud83d"}\n')
    with pytest.raises(ValueError, match=r"a.jsonl, record 2, column text should be Unicode.* U\+D83D"):
        read_records(path)


def test_long_fields_are_read_whole(tmp_path):
    (path := tmp_path / "a.csv").write_text(f'instruction,output\n"{"ask " * 100_000}",say\n')
    assert len(read_records(path)[0].instruction) == 400_000


def test_everything_that_is_left_out_is_in_one_table(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.data._reports.rank_zero_info", logged.append)
    rows = [
        {"prompt": "ask", "chosen": "say", "rejected": "no"},
        {"prompt": "ask", "completion": "say", "label": False},
        {"instruction": "ask", "output": 42},
        {"instruction": "ask", "output": " "},
        {"instruction": "ask " * 9, "output": "say"},
        {"instruction": "ask", "output": "say " * 99},
        {"messages": [ASK, SAY, ASK]},
    ]
    train, test = lines(tmp_path / "train.jsonl", *rows), lines(tmp_path / "test.jsonl", ROWS[0], ROWS[0])
    data = InstructionDataModule(chat_tokenizer(), str(train), str(test), max_length=32, max_prompt_length=24)
    data.template = instruction_only
    for _ in range(2):
        data.setup("fit")
    assert [line.rsplit(maxsplit=2) for line in "".join(logged).split("\n")[2:]] == [
        ["records", "7", "2"],
        ["chosen taken, rejected left out", "1", "0"],
        ["unwanted responses left out", "1", "0"],
        ["numbers read as digits", "1", "0"],
        ["messages after the last response left out", "1", "0"],
        ["dropped: empty response", "1", "0"],
        ["dropped: prompt over 24 tokens", "1", "0"],
        ["cut to 32 tokens", "1", "0"],
        ["replies that end without the end-of-text token", "1", "0"],
        ["samples", "4", "2"],
    ]


def test_a_missing_file_is_named_before_any_is_read(tmp_path):
    (tmp_path / "broken.jsonl").write_text("{")
    data = InstructionDataModule(None, str(tmp_path / "broken.jsonl"), str(tmp_path / "none.jsonl"))
    with pytest.raises(FileNotFoundError, match="Found no file at .*none.jsonl"):
        data.setup("fit")


def test_columns_of_other_names_are_mapped(tmp_path):
    (path := tmp_path / "a.csv").write_text("ask,gold,text\nask,say,whole\nask,say,whole\n")
    columns = {"instruction": "ask", "output": "gold"}
    options = {"train_file": str(path), "template": instruction_only, "max_length": 32, "max_prompt_length": 16}
    data = InstructionDataModule(columns=columns, **options)
    assert data.record("train", 0).record == TASK
    with pytest.raises(ValueError, match="should have the column question that `columns.instruction` names. Found ask"):
        InstructionDataModule(columns={"instruction": "question"}, **options).setup("fit")


def test_tables_keep_turns_as_json_and_their_python_source_is_refused(tmp_path, pandas):
    prompt, completion = [ASK], [SAY]
    stored = {"prompt": [json.dumps(prompt)], "completion": [json.dumps(completion)]}
    pandas.DataFrame(stored).to_csv(tmp_path / "a.csv", index=False)
    assert read_records(tmp_path / "a.csv") == [CHAT]
    pandas.DataFrame({"prompt": [prompt], "completion": [completion]}).to_csv(tmp_path / "b.csv")
    pandas.DataFrame({"prompt": ["ask"], "chosen": [[ASK, SAY]], "rejected": [[ASK]]}).to_csv(tmp_path / "c.csv")
    for name, column in (("b.csv", "prompt"), ("c.csv", "chosen")):
        with pytest.raises(ValueError, match=rf"{name}, record 1, column {column} .* Found the Python source of turns"):
            read_records(tmp_path / name)


def test_a_text_that_is_json_stays_a_text(tmp_path):
    rows = [{"prompt": "Write a chat.", "completion": json.dumps([ASK, SAY])}, {"prompt": "[1]", "completion": "[2]"}]
    assert [record.responses[0] for record in read_records(lines(tmp_path / "a.jsonl", *rows))] == [
        row["completion"] for row in rows
    ]


def test_a_prompt_beside_the_instruction_it_was_made_from_is_counted(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr("lightning_abkd.language.data._reports.rank_zero_info", logged.append)
    row = {"instruction": "ask", "prompt": "Below is an instruction. ask", "output": "say", "response": "say"}
    path = str(lines(tmp_path / "a.jsonl", row, row))
    options = {"template": instruction_only, "max_length": 32, "max_prompt_length": 24}
    data = InstructionDataModule(chat_tokenizer(), path, path, **options)
    assert data.record("train", 0).record == TASK
    assert "instruction taken, prompt left out        2" in logged[0]
