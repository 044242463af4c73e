import pytest
import torch

from lightning_abkd.data import IGNORE_INDEX, byte_tokenizer
from lightning_abkd.language.data import pad_batch
from lightning_abkd.language.data._text_samples import collate, contents
from tests.language.data._text import chat_tokenizer, conversation, read, write


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.jsonl"


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


def test_contents_are_lengths_and_ids(file):
    write(file, ("a", "b"), ("a", "bc"))
    lengths = torch.tensor([[3, 1], [4, 1]]).numpy().tobytes()
    ids = [torch.tensor(byte_tokenizer().encode(text), dtype=torch.int32).numpy().tobytes() for text in ("ab", "abc")]
    assert list(contents(read(file))) == [lengths, *ids]


def test_counted_tokens_alone_have_labels(file):
    write(file, conversation("Hi", "Hello", "Go", "Bye"))
    (sample,) = read(file, chat_tokenizer(), max_length=99, max_prompt_length=90, turns="every")
    counted = sample.labels != IGNORE_INDEX
    assert byte_tokenizer().decode(sample.labels[counted]) == "Hello\nBye\n"
    assert sample.label_count == counted.sum() == 10


def test_a_batch_says_where_the_last_response_starts_if_labels_do_not(file):
    write(file, conversation("Hi", "Hello", "Go", "Bye"))
    samples = [read(file, chat_tokenizer(), max_length=99, max_prompt_length=90, turns=t)[0] for t in ("last", "every")]
    batch = collate(list(enumerate(samples)), padding=0)
    assert batch["prompt_length"].tolist() == [samples[0].prompt_length] * 2
    assert "prompt_length" not in collate([(0, samples[0])], padding=0)


def test_contents_tell_labels_apart(file):
    write(file, conversation("Hi", "Hello", "Go", "Bye"))
    last, every = (
        read(file, chat_tokenizer(), max_length=99, max_prompt_length=90, turns=t) for t in ("last", "every")
    )
    assert list(contents(every))[:2] == list(contents(last))
    assert len(list(contents(every))) == 3
