from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, DistributedSampler

from lightning_abkd.training import Repeated, repeated_row


def found(rows, rank, batch_idx, ranks=3, batch_size=2, **options):
    sampler = DistributedSampler(range(rows), ranks, rank, **options)
    loader = DataLoader(range(rows), batch_size, sampler=sampler)
    loop = SimpleNamespace(_combined_loader=SimpleNamespace(flattened=[loader]))
    return repeated_row(SimpleNamespace(_evaluation_loop=loop), batch_idx, 0)


@pytest.mark.parametrize("rows", [1, 2, 7, 8, 9, 10])
@pytest.mark.parametrize("shuffle", [False, True])
def test_all_rows_but_the_repeated_ones_are_each_row_once(rows, shuffle):
    seen = []
    for rank in range(3):
        sampler = DistributedSampler(range(rows), 3, rank, shuffle=shuffle)
        for i, batch in enumerate(DataLoader(range(rows), 2, sampler=sampler)):
            repeated = found(rows, rank, i, shuffle=shuffle)
            seen += (batch if repeated is None else repeated.without({"x": batch})["x"]).tolist()
    assert sorted(seen) == list(range(rows))


def test_a_sampler_that_drops_rows_repeats_none():
    assert all(found(7, rank, i, drop_last=True) is None for rank in range(3) for i in range(3))


def test_a_loader_of_another_kind_repeats_none():
    loop = SimpleNamespace(_combined_loader=SimpleNamespace(flattened=[[1, 2], DataLoader(range(3))]))
    assert [repeated_row(SimpleNamespace(_evaluation_loop=loop), 0, i) for i in range(2)] == [None, None]


def test_all_positions_of_the_last_row_are_left_out():
    signals = {"labels": torch.arange(6), "mask": torch.ones(3, 2), "alpha": torch.tensor(1.0), "other": torch.ones(4)}
    left = Repeated(rows=3).without(signals)
    assert {name: value.shape for name, value in left.items()} == {
        "labels": (4,),
        "mask": (2, 2),
        "alpha": (),
        "other": (4,),
    }
