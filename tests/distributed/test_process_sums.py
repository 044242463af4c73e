import torch

from lightning_abkd.distributed import sum_over_processes
from tests._processes import on_ranks
from tests._shards import ranks


def summed():
    with ranks() as mesh:
        own = torch.tensor(float(mesh.get_local_rank() + 1), requires_grad=True)
        total = sum_over_processes(own, [mesh.get_group()])
        (3.0 * total).backward()
    return own.item(), total.item(), own.grad.item()


def test_sums_are_the_same_everywhere_and_each_process_gets_their_gradient():
    assert on_ranks(summed, 2) == [(1, 3, 3), (2, 3, 3)]
