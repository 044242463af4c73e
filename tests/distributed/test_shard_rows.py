import torch

from lightning_abkd.distributed import _shard_rows
from lightning_abkd.distributed._shard_rows import ShardRows, normalize

ONE = torch.tensor(1.0)


def test_rows_are_normalised_chunk_by_chunk(monkeypatch):
    monkeypatch.setitem(_shard_rows._CHUNK_ELEMENTS, "cpu", 10)
    logits = torch.randn(7, 5) * 20
    side = ShardRows(logits, torch.tensor(2.0), None, torch.float32)
    normalize([side], [])
    assert len(list(side.chunks())) == 4
    torch.testing.assert_close(side.log_probabilities(slice(0, 7)), (logits / 2).log_softmax(-1))


def test_only_rows_of_the_index_are_read():
    logits = torch.randn(4, 3)
    logits[1] = torch.nan
    side = ShardRows(logits, ONE, torch.tensor([0, 3]), torch.float32)
    normalize([side], [])
    torch.testing.assert_close(side.log_probabilities(slice(0, 2)), logits[[0, 3]].log_softmax(-1))


def test_a_process_without_classes_adds_nothing():
    largest, totals = ShardRows(torch.zeros(2, 0), ONE, None, torch.float32).partial_sums()
    assert (largest == -torch.inf).all()
    assert (totals == 0).all()


def test_classes_at_minus_infinity_add_nothing():
    logits = torch.full((1, 3), -torch.inf)
    assert ShardRows(logits, ONE, None, torch.float32).partial_sums().totals == 0


def test_other_numbers_are_added_up_on_the_way():
    side = ShardRows(torch.zeros(2, 3), ONE, None, torch.float32)
    assert normalize([side], [], picked=torch.tensor([1.0, 2.0])).tolist() == [[1, 2]]
