import json

import pytest
import torch

from lightning_abkd.data import InstructionDataModule, alpaca_prompt, byte_tokenizer, tokenizer


def write(path, *records):
    path.write_text("\n".join(json.dumps({"instruction": a, "output": b}) for a, b in records))
    return str(path)


def module(path, **options):
    options = {
        "template": lambda instruction, context: instruction,
        "max_length": 12,
        "max_prompt_length": 6,
        **options,
    }
    data = InstructionDataModule(train_file=path, validation_file=path, **options)
    data.setup("fit")
    return data


def test_only_the_response_and_the_end_are_counted(tmp_path):
    data = module(write(tmp_path / "a.jsonl", ("ab", "cd"), ("a", "cdef")))
    batch, encode = data.collate(data.sets["train"]), byte_tokenizer().encode
    assert [row[row != -100].tolist() for row in batch["labels"]] == [encode("cd"), encode("cdef")]
    assert batch["attention_mask"].sum(-1).tolist() == [5, 6]
    assert (batch["labels"][:, :1] == -100).all()
    assert batch["input_ids"].shape == (2, 6)


def test_what_is_cut_and_dropped_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.data._instructions.rank_zero_info", said.append)
    data = module(write(tmp_path / "a.jsonl", ("much too long", "x"), ("a", " "), ("a", "b" * 40), ("a", "b")))
    assert [len(sample["input_ids"]) for sample in data.sets["train"]] == [12, 3]
    assert said[0].startswith(
        "a.jsonl: 2 samples; dropped 2 with an empty response or a prompt of more than 6 tokens, cut 1"
    )


def test_the_embedded_tasks_split_by_seed():
    first, second, other = (InstructionDataModule(seed=seed) for seed in (0, 0, 1))
    for data in (first, second, other):
        data.setup("fit")
    assert first.sets == second.sets != other.sets
    assert not [sample for sample in first.sets["validation"] if sample in first.sets["train"]]
    assert len(first.sets["train"]) > 50


def test_prompt_has_the_layout_of_alpaca():
    prompt = alpaca_prompt("Add.", "1 and 2")
    assert "paired with an input" in prompt
    assert prompt.endswith("### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:\n")


def test_a_tokenizer_without_padding_token_is_fine(tmp_path):
    tokens = byte_tokenizer()
    tokens.pad_token = None
    data = module(write(tmp_path / "a.jsonl", ("a", "b"), ("a", "bcd")), tokenizer=tokens)
    batch = data.collate(data.sets["train"])
    assert (batch["labels"][batch["attention_mask"] == 0] == -100).all()


def test_tokenizer_loads_from_a_folder(tmp_path):
    byte_tokenizer().save_pretrained(tmp_path)
    assert tokenizer(str(tmp_path)).encode("ab") == byte_tokenizer().encode("ab")


def test_file_without_a_fitting_sample_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="should hold a sample that fits"):
        module(write(tmp_path / "a.jsonl", ("much too long", "x")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size` should be at least 1"),
        ({"max_length": 5, "max_prompt_length": 5}, "1 <= `max_prompt_length` < `max_length`"),
        ({"validation_fraction": 1.0}, r"`validation_fraction` should lie in \(0, 1\)"),
    ],
)
def test_bad_numbers_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        InstructionDataModule(**options)


def test_loaders_give_whole_batches():
    data = InstructionDataModule(batch_size=5, max_length=300)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    assert {name: value.dtype for name, value in batch.items()} == dict.fromkeys(batch, torch.int64)
    assert batch["input_ids"].shape[0] == 5
