import pytest
import torch

from lightning_abkd import functional
from lightning_abkd.functional import _subset, top_k_buckets
from lightning_abkd.functional._subset import largest_classes
from tests._asserts import logits

STUDENT, TEACHER = logits(5, 9), logits(5, 9, seed=1)


def both(k):
    ids = TEACHER.topk(k).indices
    return top_k_buckets(TEACHER, ids), top_k_buckets(STUDENT, ids)


@pytest.mark.parametrize("point", [(0.2, 0.7), (1.0, 0.0), (0.0, 1.0), (2.0, -0.5), (-0.3, -0.4)])
def test_every_divergence_is_the_full_one_at_all_classes_but_one(point):
    full = functional.alpha_beta_divergence(TEACHER.log_softmax(-1), STUDENT.log_softmax(-1), *point)
    torch.testing.assert_close(functional.alpha_beta_divergence(*both(8), *point), full)


@pytest.mark.parametrize("divergence", [functional.forward_kl, functional.reverse_kl, functional.hellinger])
def test_merging_classes_never_raises_a_divergence(divergence):
    full = divergence(TEACHER.log_softmax(-1), STUDENT.log_softmax(-1))
    values = torch.stack([divergence(*both(k)) for k in range(1, 9)])
    assert (values.diff(dim=0) >= -1e-12).all()
    assert (values <= full + 1e-12).all()


def test_buckets_are_a_distribution():
    _, student = both(3)
    torch.testing.assert_close(student.exp().sum(-1), torch.ones(5, dtype=torch.float64))


def test_gradient_is_the_numerical_one():
    ids = TEACHER.topk(3).indices
    student = STUDENT.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda z: top_k_buckets(z, ids), student)


def test_a_tiny_rest_keeps_its_digits():
    # e^-90 in each of 4 classes; 1 - p would be 0
    sharp = torch.tensor([[0.0, -90.0, -90.0, -90.0, -90.0]], requires_grad=True)
    rest = top_k_buckets(sharp, torch.tensor([[0]]))[0, 1]
    assert rest.item() == pytest.approx(-90.0 + torch.tensor(4.0).log().item(), rel=1e-6)
    rest.backward()
    torch.testing.assert_close(sharp.grad, torch.tensor([[-1.0, 0.25, 0.25, 0.25, 0.25]]))


@pytest.mark.parametrize("kept", [[0, 1], [1, 2]])
def test_gradient_is_finite_with_logits_at_minus_infinity(kept):
    student = torch.tensor([[1.0, 2.0, -torch.inf, -torch.inf]], requires_grad=True)
    buckets = top_k_buckets(student, torch.tensor([kept]))
    functional.forward_kl(torch.tensor([[0.5, 0.3, 0.2]]).log(), buckets).sum().backward()
    assert student.grad.isfinite().all()


def test_half_precision_is_promoted():
    ids = TEACHER.topk(2).indices
    expected = top_k_buckets(STUDENT.bfloat16().float(), ids)
    assert torch.equal(top_k_buckets(STUDENT.bfloat16(), ids), expected)


def test_chunks_change_nothing(monkeypatch):
    whole = largest_classes(STUDENT, 3)
    monkeypatch.setattr(_subset, "_CHUNK_ELEMENTS", 2 * 9)
    for first, second in zip(whole, largest_classes(STUDENT, 3), strict=True):
        assert torch.equal(first, second)


def test_log_probabilities_do_as_well_as_logits_which_stay():
    log_p = STUDENT.log_softmax(-1)
    before = log_p.clone()
    torch.testing.assert_close(largest_classes(log_p, 3), largest_classes(STUDENT, 3))
    assert torch.equal(log_p, before)


def test_one_merged_class_loses_no_entropy():
    assert largest_classes(STUDENT, 8).lost[:, 1].max() < 1e-12


def test_uniform_loss_is_that_of_arithmetic():
    # V = 8, k = 2: mass 6/8, and 6/8 log 6 of entropy
    lost = largest_classes(torch.zeros(1, 8), 2).lost[0]
    torch.testing.assert_close(lost, torch.tensor([0.75, 0.75 * 1.791759], dtype=torch.float64), rtol=1e-6, atol=0)


def test_no_tokens_give_no_rows():
    assert [tuple(x.shape) for x in largest_classes(torch.zeros(0, 8), 2)] == [(0, 2), (0, 3), (0, 2)]
