import pytest
import torch

from lightning_abkd.data import IGNORE_INDEX, byte_tokenizer
from lightning_abkd.language.data import pad_batch
from lightning_abkd.language.data._options import Lengths
from lightning_abkd.language.data._text_samples import collate, contents, read_samples
from tests.language.data._text import chat_tokenizer, conversation, instruction_only, write


def read(path, tokenizer=None, template=instruction_only, max_length=12, max_prompt_length=6):
    return read_samples(path, tokenizer or byte_tokenizer(), template, Lengths(max_length, max_prompt_length))


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.jsonl"


@pytest.fixture
def logged(monkeypatch):
    lines = []
    monkeypatch.setattr("lightning_abkd.language.data._text_samples.rank_zero_info", lines.append)
    return lines


def test_only_the_response_and_the_end_are_counted(file):
    write(file, ("ab", "cd"), ("a", "cdef"))
    batch, encode = collate(list(enumerate(read(file))), padding=0), byte_tokenizer().encode
    assert [row[row != IGNORE_INDEX].tolist() for row in batch["labels"]] == [encode("cd"), encode("cdef")]
    assert batch["attention_mask"].sum(-1).tolist() == [5, 6]
    assert (batch["labels"][:, :1] == IGNORE_INDEX).all()
    assert batch["input_ids"].shape == (2, 6)


def test_batches_are_integers_padded_on_the_right(file):
    write(file, ("a", "b"), ("a", "bcd"))
    batch = collate([(7, read(file)[0]), (3, read(file)[1])], padding=9)
    assert {name: value.dtype for name, value in batch.items()} == dict.fromkeys(batch, torch.int64)
    assert batch["index"].tolist() == [7, 3]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0, 0], [1] * 5]
    assert batch["input_ids"][0, 3:].tolist() == [9, 9]
    assert (batch["labels"][batch["attention_mask"] == 0] == IGNORE_INDEX).all()


def test_a_batch_keeps_the_dtype_of_its_rows_and_ignores_their_padding():
    rows = [torch.tensor([5, 6], dtype=torch.int32), torch.tensor([7], dtype=torch.int32)]
    batch = pad_batch(rows, rows, padding=9)
    assert {value.dtype for value in batch.values()} == {torch.int32}
    assert batch["input_ids"].tolist() == [[5, 6], [7, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1], [1, 0]]
    assert batch["labels"].tolist() == [[5, 6], [7, IGNORE_INDEX]]


def test_what_is_cut_and_dropped_is_logged_once(file, logged):
    write(file, ("much too long", "x"), ("a", " "), ("a", "b" * 40), ("a", "b"))
    assert [len(sample) for sample in read(file)] == [12, 3]
    assert logged == [
        "a.jsonl: 2 samples; dropped 2 with an empty response or a prompt of more than 6 tokens, cut 1 to 12 tokens."
    ]


def test_nothing_is_logged_when_all_fits(file, logged):
    write(file, ("a", "b"))
    read(file)
    assert logged == []


def test_first_reference_is_trained_on(file):
    write(file, ("a", ["b", "c", ""]))
    (sample,) = read(file)
    assert (sample.prompt, sample.references) == ("a", ("b", "c", ""))
    assert sample.input_ids.tolist() == byte_tokenizer().encode("ab")


def test_the_record_is_kept_beside_its_prompt(file):
    write(file, {"instruction": "a", "input": "b", "output": "c"})
    (sample,) = read(file, template=lambda instruction, context: f"{context}{instruction}")
    assert (sample.prompt, sample.record.instruction, sample.record.context) == ("ba", "a", "b")


def test_last_answer_of_a_conversation_is_counted(file):
    write(file, conversation("Hi", "Hello", "Go", "Bye"))
    (sample,) = read(file, chat_tokenizer(), max_length=99, max_prompt_length=90)
    assert sample.prompt == "<user>Hi\n<assistant>Hello\n<user>Go\n<assistant>"
    assert sample.labels[sample.labels != IGNORE_INDEX].tolist() == byte_tokenizer().encode("Bye")


def test_long_text_becomes_blocks_of_which_all_is_counted(file):
    write(file, {"text": "abcdefgh"}, {"text": "xy"})
    samples = read(file, max_length=4, max_prompt_length=1)
    ids = [*byte_tokenizer().encode("abcdefgh")[:8], *byte_tokenizer().encode("xy")]
    # The end of the first text would be a block of one token.
    assert [len(sample) for sample in samples] == [4, 4, 3]
    assert torch.cat([sample.labels for sample in samples]).tolist() == ids
    assert samples[1].references == ("abcdefgh",)


def test_file_without_a_fitting_sample_is_an_error(file):
    write(file, ("much too long", "x"))
    with pytest.raises(ValueError, match="should hold a sample that fits"):
        read(file)


def test_contents_are_lengths_and_ids(file):
    write(file, ("a", "b"), ("a", "bc"))
    lengths = torch.tensor([[3, 1], [4, 1]]).numpy().tobytes()
    ids = [torch.tensor(byte_tokenizer().encode(text), dtype=torch.int32).numpy().tobytes() for text in ("ab", "abc")]
    assert list(contents(read(file))) == [lengths, *ids]
