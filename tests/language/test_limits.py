import pytest
import torch
from torch import nn

from lightning_abkd.language._batch_form import read_batch
from lightning_abkd.language._limits import Limits, check_positions, fit_ids, limits_of
from lightning_abkd.models import causal_lm_from_config, lora
from lightning_abkd.training._log_once import LogOnce
from tests.language._text import network

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16}
IDS = torch.tensor([[5, 6, 7, 16], [16, 8, 9, 1]])


class Names:
    def convert_ids_to_tokens(self, found):
        return {16: "[PAD]"}.get(found)


def fit(log_once=None, limits=None, **entries):
    limit = limits or Limits("student", 16, 8, is_table=True)
    check_positions(read_batch(entries), [limit], log_once or LogOnce())
    return fit_ids(read_batch(entries), [limit], Names(), log_once or LogOnce())


def test_limits_are_those_of_embedding_and_positions():
    assert limits_of(network(0), "student") == Limits("student", 384, 64, True)
    assert limits_of(lora(network(0), target_modules=["wte"]), "teacher").ids == 384
    assert limits_of(nn.Linear(2, 3), "student") == Limits("student", None, None, False)


@pytest.mark.parametrize(
    ("kind", "options", "is_table"),
    [
        ("llama", SMALL | {"intermediate_size": 16, "max_position_embeddings": 32}, False),
        ("opt", SMALL | {"ffn_dim": 16, "max_position_embeddings": 32, "word_embed_proj_dim": 8}, True),
        ("gptj", {"n_embd": 8, "n_layer": 1, "n_head": 2, "vocab_size": 16, "n_positions": 32, "rotary_dim": 4}, True),
    ],
)
def test_only_tables_of_positions_end(kind, options, is_table):
    limits = limits_of(causal_lm_from_config(kind, options), "student")
    assert (limits.ids, limits.positions, limits.is_table) == (16, 32, is_table)


def test_padding_beyond_the_embedding_becomes_another_id_and_is_said_once():
    log_once = LogOnce()
    labels = torch.tensor([[-100, 6, 7, -100], [-100, -100, 9, 1]])
    mask = torch.tensor([[1, 1, 1, 1], [0, 1, 1, 1]])
    # At the end of a row no counted token follows; at its start the mask covers it.
    read = fit(log_once, input_ids=IDS, labels=labels, attention_mask=mask)
    assert read["input_ids"].tolist() == [[5, 6, 7, 0], [0, 8, 9, 1]]
    (message,) = log_once.messages
    assert message.startswith("Id 16 ([PAD]) is beyond the 16 rows of the student's embedding. It is read as id 0")


def test_prompts_without_labels_are_masked():
    mask = (IDS != 16).long()
    assert fit(input_ids=IDS, attention_mask=mask)["input_ids"].max() == 9


@pytest.mark.parametrize(
    "entries",
    [
        {},
        {"labels": torch.tensor([[-100, 6, 7, -100], [-100, -100, 9, 1]])},
        {"labels": torch.tensor([[-100, 6, 7, -100], [-100, 8, 9, 1]]), "attention_mask": (IDS != 16).long()},
    ],
)
def test_an_unknown_id_that_counts_is_named(entries):
    with pytest.raises(ValueError, match=r"between 0 and 15, .* Found id 16 \(\[PAD\]\) in `input_ids` at row \d, pos"):
        fit(input_ids=IDS, **entries)


def test_the_smaller_embedding_is_named():
    limits = [Limits("student", 17, None, False), Limits("teacher", 10, None, False)]
    with pytest.raises(ValueError, match="between 0 and 9, the rows of the teacher's embedding. Found id 16"):
        fit_ids(read_batch({"input_ids": IDS}), limits, None, LogOnce())
    with pytest.raises(ValueError, match="Found id -7 in `input_ids` at row 0, position 1"):
        fit(input_ids=torch.tensor([[1, -7]]))


def test_more_tokens_than_positions_are_refused_or_said():
    long = torch.zeros(1, 9, dtype=torch.long)
    with pytest.raises(ValueError, match=r"at most 8 tokens, the positions of the student. Found .* \(1, 9\)"):
        fit(input_ids=long)
    log_once = LogOnce()
    fit(log_once, Limits("student", 16, 8, is_table=False), input_ids=long)
    assert log_once.messages == {"Found rows of 9 tokens. The student was made for 8 positions."}


def test_packed_rows_may_be_longer_than_their_samples():
    places = torch.arange(9).remainder(5).unsqueeze(0)
    assert fit(input_ids=torch.zeros(1, 9, dtype=torch.long), position_ids=places)["input_ids"].shape == (1, 9)
    with pytest.raises(ValueError, match="at most 8 tokens"):
        fit(input_ids=torch.zeros(1, 9, dtype=torch.long), position_ids=torch.arange(9).unsqueeze(0))


def test_batches_without_ids_or_on_another_device_are_not_looked_at():
    embedded = {"inputs_embeds": torch.zeros(1, 2, 8)}
    assert fit(**embedded) == read_batch(embedded)
    assert fit(input_ids=torch.full((1, 2), 99, device="meta"))["input_ids"].device.type == "meta"
