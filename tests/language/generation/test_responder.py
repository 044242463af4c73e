import pytest
import torch

from lightning_abkd.language.generation._sampling import SpecialIds
from lightning_abkd.modules import Responder, Sampling
from tests.language._text import network

SPECIAL = SpecialIds(end=1, padding=0)
GREEDY = Sampling(max_new_tokens=4, temperature=0.0)


def batch():
    return {
        "input_ids": torch.tensor([[5, 6, 7, 8, 1], [9, 4, 1, 0, 0]]),
        "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
        "labels": torch.tensor([[-100, -100, 7, 8, 1], [-100, 4, 1, -100, -100]]),
    }


def test_responding_leaves_out_what_is_done_and_does_not_depend_on_it():
    net, given = network(0), batch() | {"index": torch.tensor([4, 5])}
    first = Responder(sampling=GREEDY).respond(net, None, given, SPECIAL)
    second = Responder(sampling=GREEDY, done={4}).respond(net, None, given, SPECIAL)
    assert (first.samples, second.samples) == ([4, 5], [5])
    assert first.ids[1].tolist() == second.ids[0].tolist()
    assert Responder(done={4, 5}).respond(net, None, given, SPECIAL).samples == []


def test_a_missing_teacher_is_named():
    with pytest.raises(ValueError, match="The teacher should respond. Found none"):
        Responder("teacher").respond(network(0), None, batch(), SPECIAL)
