import pytest
import torch
import torch.distributed as dist

from lightning_abkd.distributed import keep_classes
from tests._processes import on_ranks
from tests._shards import collectives, ranks, spread, whole

LOGITS = torch.arange(44.0).view(2, 2, 11)


def kept(mesh, logits, classes):
    """Whether the classes and their gradient are those of one process, how many are here, and what was told."""
    with collectives() as found:
        leaf = logits.requires_grad_()
        result = keep_classes(leaf, classes)
        here = result.to_local().shape[-1]
        (result.to_local() * (mesh.get_local_rank() + 1.0)).sum().backward()
    right = torch.equal(whole(result), LOGITS[..., :classes])
    held = -(-classes // mesh.size())
    expected = torch.arange(11).div(held, rounding_mode="floor").add(1.0)
    expected = expected.masked_fill(torch.arange(11) >= classes, 0.0).expand(2, 2, 11)
    return right and torch.equal(whole(leaf.grad), expected), here, [name for name, _ in found]


def findings():
    with ranks() as mesh:
        found = {classes: kept(mesh, spread(LOGITS, mesh, 2), classes) for classes in (11, 9, 2)}
        found["positions"] = torch.equal(whole(keep_classes(spread(LOGITS, mesh, 1), 4)), LOGITS[..., :4])
        if mesh.size() == 4:
            square = dist.init_device_mesh("cpu", (2, 2))
            found["twice"] = torch.equal(whole(keep_classes(spread(LOGITS, square, 2, 2), 4)), LOGITS[..., :4])
    return found


@pytest.mark.parametrize(("processes", "sizes"), [(2, {9: [5, 4], 2: [1, 1]}), (4, {9: [3, 3, 3, 0], 2: [1, 1, 0, 0]})])
def test_classes_are_split_anew_and_their_gradient_goes_back(processes, sizes):
    found = on_ranks(findings, processes)
    for classes, expected in sizes.items():
        assert [one[classes] for one in found] == [(True, here, ["alltoall_base_"] * 2) for here in expected]
    assert all(one["positions"] and one.get("twice", True) for one in found)


def test_nothing_is_sent_where_all_classes_are_kept():
    assert [one[11] for one in on_ranks(findings, 2)] == [(True, 6, []), (True, 5, [])]


def test_one_process_cuts():
    assert torch.equal(keep_classes(LOGITS, 3), LOGITS[..., :3])
