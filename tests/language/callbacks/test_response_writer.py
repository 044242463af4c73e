import json

import pytest

from lightning_abkd.callbacks import ResponseWriter
from lightning_abkd.data import InstructionDataModule, read_records
from lightning_abkd.modules import Sampling
from tests.language._text import instruction_data, language_module, network
from tests.language.data._text import chat_tokenizer, conversation, write
from tests.training._training import trainer

SHORT = Sampling(max_new_tokens=6)


def predict(folder, file="out/teacher.jsonl", data=None, module=None, run=None, **options):
    writer = ResponseWriter(str(folder / file), **{"sampling": SHORT, **options})
    data = data or instruction_data(folder, predict_set="train", batch_size=3)
    trainer(folder, callbacks=[writer], **(run or {})).predict(module or language_module(), datamodule=data)
    return folder / file


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def logged(monkeypatch):
    messages = []
    for place in ("_response_writer", "_response_file"):
        monkeypatch.setattr(f"lightning_abkd.language.callbacks.{place}.rank_zero_info", messages.append)
    return messages


def test_responses_are_written_in_the_order_of_the_data(tmp_path):
    data = instruction_data(tmp_path, predict_set="train", batch_size=3)
    written = lines(predict(tmp_path, data=data))
    assert [row["index"] for row in written] == list(range(7))
    assert [row["instruction"] for row in written] == [data.record("train", i).prompt for i in range(7)]
    assert len({row["output"] for row in written}) > 1


def test_the_file_is_training_data_with_the_same_prompts(tmp_path):
    source = write(tmp_path / "a.jsonl", {"instruction": "a", "input": "b", "output": "c"}, ("d", "e"))
    options = {"max_length": 400, "max_prompt_length": 300, "predict_set": "train"}
    data = InstructionDataModule(train_file=source, validation_file=source, **options)
    module = language_module(teacher=network(1, n_positions=400))
    path = str(predict(tmp_path, data=data, module=module))
    again = InstructionDataModule(train_file=path, validation_file=path, **options)
    for index in range(2):
        assert again.record("train", index).prompt == data.record("train", index).prompt
        assert again.record("train", index).references != data.record("train", index).references


def test_conversations_get_their_last_message(tmp_path):
    talks = [conversation("Hi", "Hello", "Go", "Bye"), conversation("Yes", "No")]
    source = write(tmp_path / "a.jsonl", *talks)
    options = {"tokenizer": chat_tokenizer(), "max_length": 99, "max_prompt_length": 60, "predict_set": "train"}
    data = InstructionDataModule(train_file=source, validation_file=source, **options)
    written = lines(predict(tmp_path, data=data, module=language_module(teacher=network(1, n_positions=99))))
    for row, talk in zip(written, talks, strict=True):
        assert row["messages"][:-1] == talk["messages"][:-1]
        assert row["messages"][-1]["role"] == "assistant"
        assert row["messages"][-1]["content"] != talk["messages"][-1]["content"]


@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.5, 0.6, 0.99, 1.0])
def test_a_killed_run_continues_to_the_file_of_an_undisturbed_one(tmp_path, kept):
    path = predict(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    assert predict(tmp_path).read_bytes() == whole


def test_continuing_leaves_out_what_is_done(tmp_path, logged):
    path = predict(tmp_path, run={"limit_predict_batches": 2})
    assert len(lines(path)) == 6
    with path.open("a") as file:
        file.write('{"instruction": "sa')
    predict(tmp_path)
    assert logged[1] == f"{path}: continues after 6 of 7 responses. The batch that was cut short is written again."
    predict(tmp_path)
    assert logged[3:] == [f"{path}: continues after 7 of 7 responses.", f"{path}: 7 responses of the teacher."]


def test_the_student_may_respond(tmp_path):
    first = predict(tmp_path, "student.jsonl", module=language_module(student=network(1)), network="student")
    assert first.read_text() == predict(tmp_path).read_text()


def test_empty_responses_are_written_and_counted(tmp_path, logged, monkeypatch):
    monkeypatch.setattr(
        "lightning_abkd.language.callbacks._language_run.LanguageRun.texts",
        lambda _, ids: ["\n"] + ["a"] * (len(ids) - 1),
    )
    path = predict(tmp_path)
    assert logged == [f"{path}: 7 responses of the teacher; 3 of them are empty, which a data module leaves out."]
    assert len(read_records(path)) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "Found `seed = 1`, begun with 0"),
        ({"sampling": Sampling(5)}, "Found `sampling = .*'max_new_tokens': 5.*begun with .*'max_new_tokens': 6"),
        ({"module": language_module(teacher=network(3))}, "Found `network = GPT2LMHeadModel .*, begun with GPT2"),
    ],
)
def test_a_file_of_another_run_is_refused(tmp_path, options, message):
    before = predict(tmp_path).read_bytes()
    with pytest.raises(ValueError, match=f"should be continued as it was begun. {message}"):
        predict(tmp_path, **options)
    assert (tmp_path / "out/teacher.jsonl").read_bytes() == before


def test_a_file_of_other_data_is_refused(tmp_path):
    predict(tmp_path)
    with pytest.raises(ValueError, match="Found `data = 1 samples .*`, begun with 7 samples"):
        predict(tmp_path, data=instruction_data(tmp_path))


def test_a_changed_file_is_refused(tmp_path):
    path = predict(tmp_path)
    first, *rest = path.read_text().splitlines(keepends=True)
    for text in ("".join(rest), f"no json\n{''.join(rest)}"):
        path.write_text(text)
        with pytest.raises(ValueError, match="should hold a line for each index in turn"):
            predict(tmp_path)
    (tmp_path / "out/teacher.jsonl.json").unlink()
    with pytest.raises(ValueError, match="teacher.jsonl.json beside it to be continued. Found none"):
        predict(tmp_path)


def test_several_sets_and_processes_are_refused(tmp_path):
    file = write(tmp_path / "a.jsonl", ("a", "b"))
    with pytest.raises(ValueError, match="writes one set. Found x, y for test"):
        predict(tmp_path, data=instruction_data(tmp_path, test_file={"x": file, "y": file}))
    run = trainer(tmp_path, devices=2, strategy="ddp_fork")
    with pytest.raises(ValueError, match=r"writes from one process. Found 2. Set `trainer.devices: 1`"):
        ResponseWriter("a.jsonl").setup(run, language_module(), "predict")


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"`file` should end with .jsonl. Found `file = 'a.json'`"):
        ResponseWriter("a.json")
    with pytest.raises(ValueError, match="`network` should be 'student' or 'teacher'"):
        ResponseWriter("a.jsonl", network="both")
