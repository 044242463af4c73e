import pytest
import torch

from lightning_abkd.losses import mean_cross_entropy
from tests._processes import on_ranks
from tests._shards import collectives, error, ranks, spread, whole

LABELS = torch.tensor([[0, 4, -100, 2], [1, 1, 3, -100]])


def logits():
    return torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def value_and_gradient(leaf, labels=LABELS):
    loss = mean_cross_entropy(leaf, labels)
    loss.backward()
    return loss, whole(leaf.grad)


def findings():
    expected = value_and_gradient(logits().requires_grad_())
    found = {}
    with ranks() as mesh:
        for dim in (2, 1, 0, None):
            with collectives() as told:
                part = value_and_gradient(spread(logits(), mesh, dim).requires_grad_())
            found[dim] = max(error(a, b) for a, b in zip(part, expected, strict=True))
            found[f"told {dim}"] = [call for call in told if call[0] == "allreduce_"]
        empty = value_and_gradient(spread(logits(), mesh, 2).requires_grad_(), torch.full_like(LABELS, -100))
        found["empty"] = (empty[0].item(), bool(empty[1].any()))
    return found


@pytest.fixture(scope="module")
def found():
    return on_ranks(findings, 2)


@pytest.mark.parametrize("dim", [2, 1, 0, None])
def test_mean_and_gradient_are_those_of_one_process(found, dim):
    assert max(one[dim] for one in found) < 1e-12


def test_two_numbers_a_row_are_told_of_classes_and_two_in_all_of_positions(found):
    assert found[0]["told 2"] == [("allreduce_", 6), ("allreduce_", 12)]
    assert found[0]["told 1"] == [("allreduce_", 1)] * 2


def test_no_label_counts(found):
    assert [one["empty"] for one in found] == [(0, False)] * 2
    assert mean_cross_entropy(torch.zeros(2, 3), torch.tensor([-100, -100])) == 0


def test_half_precision_is_promoted():
    assert mean_cross_entropy(torch.zeros(2, 3, dtype=torch.bfloat16), torch.tensor([0, 1])).dtype == torch.float32


def test_labels_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"`labels` should have shape \(2,\). Found \(3,\)"):
        mean_cross_entropy(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long))
