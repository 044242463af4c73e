import torch
import torch.distributed as dist

from lightning_abkd.distributed import gather_objects, gather_rows, is_distributed, world_size
from tests._processes import on_ranks


def gathered():
    dist.init_process_group("gloo")
    rows = gather_rows(torch.full((2, 1), float(dist.get_rank())))
    answer = (rows.flatten().tolist(), is_distributed(), world_size())
    answer += (gather_objects({"rank": dist.get_rank()}),)
    dist.destroy_process_group()
    return answer


def test_rows_and_objects_come_in_the_order_of_ranks():
    first, second = on_ranks(gathered, 2)
    assert first == ([0, 0, 1, 1], True, 2, [{"rank": 0}, {"rank": 1}])
    assert second == ([0, 0, 1, 1], True, 2, [{"rank": 1}])


def test_one_process_needs_no_group():
    rows = torch.ones(2, 1)
    assert gather_rows(rows) is rows
    assert (is_distributed(), world_size(), gather_objects("own")) == (False, 1, ["own"])
