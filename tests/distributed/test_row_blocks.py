import torch

from lightning_abkd.distributed import RowBlocks
from tests._processes import on_ranks
from tests._shards import collectives, ranks, spread

LOGITS = torch.arange(30.0).view(2, 3, 5)


def findings():
    with ranks() as mesh:
        blocks = {dim: RowBlocks(spread(LOGITS, mesh, dim)) for dim in (2, 1, None)}
        with collectives() as found:
            right = {dim: torch.equal(x.block(slice(1, 3)), LOGITS.view(6, 5)[1:3]) for dim, x in blocks.items()}
    return right, found


def test_a_block_is_gathered_alone():
    for right, found in on_ranks(findings, 2):
        assert all(right.values())
        # Of two rows the three classes that the first process has.
        assert found == [("all_gather_into_tensor", 2 * 3)]


def test_plain_rows_are_those_of_the_logits():
    assert RowBlocks(LOGITS).block(slice(4, 6)).tolist() == LOGITS.view(6, 5)[4:].tolist()
