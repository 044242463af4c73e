import torch
import torch.distributed as dist

from lightning_abkd.distributed import gather_rows, is_distributed, world_size
from tests._processes import on_ranks


def gathered():
    dist.init_process_group("gloo")
    rows = gather_rows(torch.full((2, 1), float(dist.get_rank())))
    answer = (rows.flatten().tolist(), is_distributed(), world_size())
    dist.destroy_process_group()
    return answer


def test_rows_come_in_the_order_of_ranks():
    assert on_ranks(gathered, 2) == [([0, 0, 1, 1], True, 2)] * 2


def test_one_process_needs_no_group():
    rows = torch.ones(2, 1)
    assert gather_rows(rows) is rows
    assert (is_distributed(), world_size()) == (False, 1)
