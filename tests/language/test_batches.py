import pytest
import torch

from lightning_abkd.language._batches import counted_positions, network_inputs, rows_at, with_counted
from tests.language._text import network
from tests.language._token_batches import BATCH


def test_networks_get_their_inputs_alone():
    assert set(network_inputs(with_counted(BATCH), network(0))) == {"input_ids", "attention_mask", "use_cache"}
    assert set(network_inputs(with_counted(BATCH), torch.nn.Linear(1, 1))) == {"input_ids", "attention_mask"}


def test_positions_are_those_whose_next_token_counts():
    assert with_counted(BATCH)["counted"].tolist() == [1, 2, 3, 6]


def test_the_first_label_is_no_prediction():
    assert counted_positions(torch.tensor([[4, -100, 5], [6, 7, -100]])).tolist() == [1, 3]


def test_batches_that_need_no_positions_stay_as_they_are():
    for batch in ([BATCH["input_ids"]], {"input_ids": BATCH["input_ids"]}, {"labels": BATCH["labels"].to("meta")}):
        assert with_counted(batch) is batch


def test_rows_are_picked_across_samples():
    assert rows_at(BATCH["input_ids"], torch.tensor([4, 5])).tolist() == [1, 9]


def test_hidden_states_that_are_no_tensor_are_named():
    with pytest.raises(TypeError, match=r"should be a tensor \(B, T, D\). Found NoneType"):
        rows_at(None, torch.tensor([0]))
