import pytest
import torch
from torch import nn

from lightning_abkd.training._agreement import check_same_on_ranks
from tests._processes import on_ranks


def checked():
    import torch.distributed as dist

    dist.init_process_group("gloo")
    network = nn.Sequential(nn.Linear(2, 3).to(torch.bfloat16), nn.BatchNorm1d(3))
    check_same_on_ranks(network)
    network[1].running_mean[2] += dist.get_rank()
    try:
        check_same_on_ranks(network)
    finally:
        dist.destroy_process_group()


def test_a_buffer_that_differs_is_named():
    with pytest.raises(
        AssertionError, match=r"Sequential should be the same on all ranks. Found that `1\.running_mean`"
    ):
        on_ranks(checked, 2)


def test_one_process_agrees_with_itself():
    check_same_on_ranks(nn.Linear(2, 2))
