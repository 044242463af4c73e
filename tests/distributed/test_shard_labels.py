import pytest
import torch
from torch.nn.functional import cross_entropy

from lightning_abkd.distributed import cross_entropy_from_shards, most_probable
from tests._processes import on_ranks
from tests._shards import collectives, error, ranks, spread

LABELS = torch.tensor([[3, 0, 4], [1, -100, 2]])


def expected(logits):
    leaf = logits.clone().requires_grad_()
    wide = leaf.to(torch.promote_types(leaf.dtype, torch.float32))
    values = cross_entropy(wide.flatten(0, 1), LABELS.flatten(), reduction="none").view(2, 3)
    (values * 0.5).sum().backward()
    return values, leaf.grad


def largest_errors():
    found = {}
    with ranks() as mesh:
        for dtype in (torch.float64, torch.float32, torch.bfloat16):
            logits = (torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0)) * 9).to(dtype)
            part = spread(logits, mesh, -1).to_local().requires_grad_()
            first = min(5, mesh.get_local_rank() * (3 if mesh.size() == 2 else 2))
            with collectives() as counted:
                values = cross_entropy_from_shards(part, LABELS, first, [mesh.get_group()])
                (values * 0.5).sum().backward()
            theirs, gradient = expected(logits)
            found[dtype] = max(error(values, theirs), error(part.grad, spread(gradient, mesh, -1).to_local()))
    return found, counted


@pytest.mark.parametrize("processes", [2, 4])
def test_values_and_gradients_are_those_of_one_process(processes):
    for found, counted in on_ranks(largest_errors, processes):
        assert found[torch.float64] < 1e-12
        assert found[torch.float32] < 1e-6
        assert found[torch.bfloat16] < 1e-2
        # The largest logits; then sums of exponentials and the logits of the five labels that count.
        assert counted == [("allreduce_", 5), ("allreduce_", 10)]


def test_no_label_counts():
    logits = torch.randn(2, 4, requires_grad=True)
    values = cross_entropy_from_shards(logits, torch.tensor([-100, -100]))
    values.sum().backward()
    assert values.tolist() == [0, 0]
    assert not logits.grad.any()


def test_a_label_at_minus_infinity_is_infinite():
    assert cross_entropy_from_shards(torch.tensor([[0.0, -torch.inf]]), torch.tensor([1])).item() == torch.inf


def most_probable_of_ranks():
    logits = torch.tensor([[[0.0, 2.0, 1.0, 2.0, -1.0], [3.0, 0.0, 0.0, 0.0, 4.0]]])
    with ranks() as mesh, collectives() as found:
        return [most_probable(spread(logits, mesh, dim)).tolist() for dim in (2, 1, None)], found[:2]


@pytest.mark.parametrize("processes", [2, 4])
def test_the_first_of_the_most_probable_classes_is_found(processes):
    for found, told in on_ranks(most_probable_of_ranks, processes):
        assert found == [[[1, 4]]] * 3
        assert told == [("allreduce_", 2)] * 2
