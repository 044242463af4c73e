import torch

from lightning_abkd.data import InstructionDataModule
from lightning_abkd.diagnostics.doctor._prompts import prompts
from tests.diagnostics.doctor._patients import patient, reader, texts


def whole(rows=2):
    """Return texts that count as a whole."""
    batch = texts(rows)
    return batch | {"labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)}


def test_lengths_in_the_batch_say_where_prompts_end():
    lengths = {"prompt_length": torch.tensor([3, 3])}
    assert prompts(reader(texts() | lengths)).text == "none of 6 prompt tokens counts"
    assert prompts(reader(whole() | lengths)).text == "Prompt not masked: 6 of 14 counted tokens belong to prompts."


def test_the_data_module_knows_its_prompts():
    data = InstructionDataModule(batch_size=2)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    examined = reader(batch)
    examined.trainer.datamodule = data
    assert prompts(examined).state == "green"
    batch["labels"] = batch["input_ids"].clone()
    assert prompts(examined).is_red


def test_a_template_that_counts_is_seen():
    batch = whole()
    start = torch.arange(20, 30).expand(2, 10)
    longer = {name: torch.cat([start, batch[name]], 1) for name in ("input_ids", "labels")}
    assert prompts(reader(longer)).text == "Prompt not masked: all rows begin with the same 10 tokens, and these count."


def test_a_marker_behind_counted_tokens_is_seen():
    row = torch.tensor([[ord(letter) + 3 for letter in "hi [/INST] yes"]])
    assert "'[/INST]'" in prompts(reader({"input_ids": row, "labels": row.clone()})).text
    masked = row.clone()
    masked[:, :11] = -100
    assert prompts(reader({"input_ids": row, "labels": masked})).state == "not checked"


def test_plain_text_and_images_are_not_checked():
    assert prompts(reader(whole())).state == prompts(patient()).state == "not checked"
