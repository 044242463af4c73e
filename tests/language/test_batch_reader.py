import pytest
import torch

from lightning_abkd.language._batch_reader import BatchReader
from lightning_abkd.training._log_once import LogOnce
from tests.language._text import network
from tests.language._token_batches import BATCH

UNLABELLED = {name: value for name, value in BATCH.items() if name != "labels"}


def reader():
    return BatchReader({"student": network(0), "teacher": None}, None, LogOnce())


def test_labels_are_needed_made_or_left_out():
    with pytest.raises(ValueError, match="Found only `input_ids`, `attention_mask`, `index`"):
        reader().read(UNLABELLED, "needed")
    assert (reader().read(UNLABELLED, "made")["labels"] != -100).sum() == 8
    assert "labels" not in reader().read(UNLABELLED, "optional")


def test_labels_are_not_made_of_embeddings():
    with pytest.raises(ValueError, match="Found only `inputs_embeds`"):
        reader().read({"inputs_embeds": torch.zeros(1, 2, 8)}, "made")


def test_a_batch_is_read_once():
    read = reader().read(BATCH, "needed")
    assert reader().read(read, "needed") is read


def test_ids_are_checked_against_the_networks():
    with pytest.raises(ValueError, match="between 0 and 383, the rows of the student's embedding"):
        reader().read({"input_ids": torch.full((1, 3), 384)}, "optional")
