from types import SimpleNamespace

import pytest
import torch

from lightning_abkd.training._wrong_ranks import first_wrong_rank


class Ranks:
    """Processes one after the other; the first pass collects what they reduce."""

    def __init__(self):
        self.codes = []

    def reduce(self, code, reduce_op):
        assert reduce_op == "max"
        self.codes.append(int(code))
        return torch.tensor(max(self.codes))


@pytest.mark.parametrize(
    ("losses", "gradients", "expected"),
    [
        ([0, 0, 0], [0, 0, 0], None),
        ([0, 1, 0], [1, 1, 1], 1),
        ([0, 1, 1], [0, 0, 0], 1),
        ([0, 0, 0], [0, 1, 1], 1),
        ([1, 0, 1], [0, 1, 0], 0),
        ([0, 0, 1], [1, 0, 0], 2),
    ],
)
def test_the_first_rank_with_a_wrong_loss_is_agreed_on_before_those_with_a_wrong_gradient(losses, gradients, expected):
    strategy = Ranks()
    for _ in range(2):
        found = [
            first_wrong_rank(
                SimpleNamespace(world_size=3, global_rank=rank, strategy=strategy),
                torch.tensor(bool(losses[rank])),
                torch.tensor(bool(gradients[rank])),
            )
            for rank in range(3)
        ]
    assert found == [expected] * 3


def test_a_single_process_asks_nobody():
    alone = SimpleNamespace(world_size=1, global_rank=0, strategy=None)
    assert first_wrong_rank(alone, torch.tensor(False), torch.tensor(True)) == 0
    assert first_wrong_rank(alone, torch.tensor(False), torch.tensor(False)) is None
