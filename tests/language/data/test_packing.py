import numpy as np
import pytest
import torch

from lightning_abkd.data import IGNORE_INDEX, TextSample
from lightning_abkd.language.data._packing import collate_packed, pack
from lightning_abkd.models import causal_lm_from_config

SIZE = {"vocab_size": 31, "num_hidden_layers": 2, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}


def sample(length, prompt_length=2, seed=0):
    tokens = np.random.default_rng(seed).integers(1, 31, length, dtype=np.int32)
    return TextSample("", ("",), tokens, prompt_length)


def packed():
    return collate_packed([[sample(5), sample(3, seed=1), sample(1, 0)], [sample(6, 0, seed=2)]], padding=0)


def test_every_sample_is_in_one_row_that_fits():
    lengths = torch.randint(1, 40, (200,), generator=torch.Generator().manual_seed(0)).tolist()
    rows = pack(lengths, 40, seed=0)
    assert sorted(index for row in rows for index in row) == list(range(200))
    assert max(sum(lengths[index] for index in row) for row in rows) <= 40
    # No packing can do with fewer rows than the tokens fill.
    assert len(rows) < 1.05 * sum(lengths) / 40


def test_packing_follows_the_seed():
    assert pack([3] * 9, 6, seed=1) == pack([3] * 9, 6, seed=1) != pack([3] * 9, 6, seed=2)


def test_full_rows_take_nothing_more():
    assert sorted(map(len, pack([4, 4, 2, 2], 4, seed=0))) == [1, 1, 2]


def test_positions_restart_with_every_sample_and_the_padding():
    positions = packed()["position_ids"]
    assert positions.tolist() == [[0, 1, 2, 3, 4, 0, 1, 2, 0], [0, 1, 2, 3, 4, 5, 0, 1, 2]]


def test_no_token_is_predicted_from_the_sample_before():
    batch = packed()
    assert sorted(batch) == ["input_ids", "labels", "position_ids"]
    assert (batch["labels"][batch["position_ids"] == 0] == IGNORE_INDEX).all()
    counted = [[False] * 2 + [True] * 3 + [False, False, True, False], [False] + [True] * 5 + [False] * 3]
    assert (batch["labels"] != IGNORE_INDEX).tolist() == counted


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("model_type", ["gpt2", "llama"])
def test_logits_are_those_of_the_samples_alone(model_type, attention):
    model = causal_lm_from_config(model_type, SIZE | {"attn_implementation": attention}).double().eval()
    samples = [sample(5, seed=1), sample(3, seed=2), sample(7, seed=3)]
    batch = collate_packed([samples, [sample(16)]], padding=0)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    row = model(**inputs, use_cache=False).logits[0]
    alone = [model(input_ids=sample.input_ids[None]).logits[0] for sample in samples]
    torch.testing.assert_close(row[:15], torch.cat(alone))
