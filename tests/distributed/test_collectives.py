import torch
import torch.distributed as dist

from lightning_abkd.distributed import gather_objects, gather_rows, is_distributed, sum_over_ranks, world_size
from tests._processes import on_ranks


def gathered():
    dist.init_process_group("gloo")
    rows = gather_rows(torch.full((1 + dist.get_rank(), 1), float(dist.get_rank())))
    mine = torch.tensor([1.0, dist.get_rank()]).flip(0)
    sums = (sum_over_ranks(mine).tolist(), mine.tolist() == [dist.get_rank(), 1.0])
    answer = (rows.flatten().tolist(), is_distributed(), world_size(), sums, gather_objects(dist.get_rank()))
    dist.destroy_process_group()
    return answer


def test_rows_and_objects_come_in_the_order_of_ranks_and_sums_are_new_tensors():
    assert on_ranks(gathered, 2) == [([0, 1, 1], True, 2, ([1.0, 2.0], True), [0, 1])] * 2


def test_one_process_needs_no_group():
    rows = torch.ones(2, 1)
    assert gather_rows(rows) is rows
    assert sum_over_ranks(rows) is rows
    assert gather_objects("one") == ["one"]
    assert (is_distributed(), world_size()) == (False, 1)
