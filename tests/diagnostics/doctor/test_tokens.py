import pytest
import torch

from lightning_abkd.diagnostics.doctor._tokens import padding, sample, shift, tokens
from tests.diagnostics.doctor._patients import patient, reader, texts


def moved(places):
    batch = texts()
    return batch | {"labels": batch["labels"].roll(places, 1)}


def test_labels_are_their_own_tokens():
    assert shift(reader()).state == "green"


@pytest.mark.parametrize(("places", "side"), [(-1, "after"), (1, "before")])
def test_labels_that_are_shifted_already_are_red(places, side):
    found = shift(reader(moved(places)))
    assert found.text == (
        f"Labels shifted twice: 100 % of them are the token {side} their own, and the module shifts once more."
    )


def test_a_shift_in_signals_is_seen_in_the_teachers_loss():
    examined = reader(texts(rows=12))
    signals = dict(examined.signals)
    signals["teacher_logits"] = 9.0 * torch.nn.functional.one_hot(signals["labels"].clamp(min=0).roll(1, 1), 384)
    vars(examined)["signals"] = signals
    assert shift(examined).text.startswith("Labels shifted twice: the teacher's loss is 9")


def test_labels_of_another_kind_are_not_judged():
    batch = texts()
    batch["labels"] = torch.where(batch["labels"] > 0, 383, -100)
    assert shift(reader(batch)).state == "not checked"


def test_padding_that_counts_is_red():
    batch = texts()
    assert padding(reader(batch)).text == "none of 2 padded positions counts"
    batch["labels"][:, -1] = 0
    assert padding(reader(batch)).text.startswith("Pad counted: 2 of 10")


def test_padding_is_known_without_a_mask_and_on_the_left():
    batch = {name: value.flip(1) for name, value in texts().items() if name != "attention_mask"}
    batch["labels"] = batch["input_ids"].clone()
    assert padding(reader(batch)).text.startswith("Pad counted: 2 of 16")


def test_one_end_of_text_counts_where_it_also_pads():
    batch = texts()
    del batch["attention_mask"]
    batch["input_ids"][:, -2:] = 1
    batch["labels"] = batch["input_ids"].clone()
    examined = reader(batch)
    examined.data.tokenizer.pad_token_id = 1
    assert padding(examined).text.startswith("Pad counted: 2 of 16")


def test_a_sample_is_written_out():
    batch = {name: value[:1].clone() for name, value in texts().items()}
    batch["input_ids"][0, :7] = torch.tensor([ord(letter) + 3 for letter in "say abc"])
    batch["labels"][0, 4:7] = batch["input_ids"][0, 4:7]
    batch["labels"][0, 3] = -100
    assert sample(reader(batch)).text == "'say ' counted: 'abc'"


def test_images_have_no_tokens():
    assert [finding.state for finding in tokens(patient())] == ["not checked", "green"]
    assert [finding.state for finding in tokens(reader({"input_ids": texts()["input_ids"]}))] == ["not checked"]
    assert len(tokens(reader())) == 3
