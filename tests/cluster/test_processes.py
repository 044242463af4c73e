"""What the other tests of this folder stand on."""

import os
import signal
import time

import pytest
import torch

from tests._processes import Rank, on_ranks


def summed_ranks():
    torch.distributed.init_process_group("gloo")
    total = torch.tensor(float(torch.distributed.get_rank() + 1))
    torch.distributed.all_reduce(total)
    torch.distributed.destroy_process_group()
    return total


def fails():
    raise ValueError("no luck")


def leaves():
    os._exit(3)


def test_ranks_form_a_group():
    assert on_ranks(summed_ranks, 3) == [6, 6, 6]


def test_an_error_of_a_rank_is_shown():
    with pytest.raises(AssertionError, match="no luck"):
        on_ranks(fails, 1)


def test_a_process_that_leaves_is_no_result():
    with pytest.raises(AssertionError, match="code 3"):
        Rank(leaves).result()


def test_a_process_is_killed():
    rank = Rank(time.sleep, (60,))
    rank.kill()
    assert rank.code() == -signal.SIGKILL
