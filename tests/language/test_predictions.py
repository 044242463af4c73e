import pytest
import torch

from lightning_abkd.language._predictions import token_signals
from lightning_abkd.training import LogOnce
from tests._processes import on_ranks
from tests._shards import ranks, spread, whole

LABELS = torch.tensor([[-100, 2, 4], [0, -100, 1]])


def logits(ids=5):
    return torch.randn(2, 3, ids, generator=torch.Generator().manual_seed(0))


def test_the_prediction_after_the_last_token_is_left_out():
    values = logits()
    signals = token_signals({"student": values, "teacher": values}, LABELS, None, LogOnce())
    assert torch.equal(signals["student_logits"], values[:, :-1])
    assert torch.equal(signals["teacher_logits"], values[:, :-1])
    assert signals["labels"].tolist() == [[2, 4], [-100, 1]]
    assert signals["mask"].tolist() == [[True, True], [False, True]]


def test_padding_ids_are_left_out_of_each_network():
    signals = token_signals({"student": logits(5), "teacher": logits(7)}, LABELS, 4, LogOnce())
    assert signals["student_logits"].shape == signals["teacher_logits"].shape == (2, 2, 4)


def test_a_network_with_fewer_ids_is_refused():
    with pytest.raises(ValueError, match="`vocabulary = 6` and 5 ids in the logits of the student"):
        token_signals({"student": logits(5)}, LABELS, 6, LogOnce())


def signals_of_ranks():
    with ranks() as mesh:
        found = {}
        for dim in (2, 1):
            signals = token_signals({"student": spread(logits(), mesh, dim), "teacher": logits()}, LABELS, 4, LogOnce())
            found[dim] = {name: whole(value) for name, value in signals.items()}
    return found


def test_split_tokens_keep_the_last_prediction_without_a_label():
    for found in on_ranks(signals_of_ranks, 2):
        assert torch.equal(found[1]["student_logits"], logits()[..., :4])
        assert torch.equal(found[1]["teacher_logits"], logits()[..., :4])
        assert found[1]["labels"].tolist() == [[2, 4, -100], [-100, 1, -100]]
        assert torch.equal(found[2]["student_logits"], logits()[:, :-1, :4])
