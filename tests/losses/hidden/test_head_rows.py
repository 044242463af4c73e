import pytest
import torch

from lightning_abkd.kernels import runs_triton
from lightning_abkd.losses import AlphaBetaDivergence, ForwardKL, JensenShannon, OutputHead
from lightning_abkd.losses.hidden._head_rows import Comparison, HeadGradients, HeadRows, HeadTerms
from tests._asserts import logits

N, V, D = 6, 9, 4


def head_rows(divergence=None, labels=True, weights=(1.0, 1.0), compare=None, needed=(True, True, False)):
    """Sums and gradients over all rows, processed four and then two at a time, and their logits."""
    hidden, head, teacher = logits(N, D).float(), OutputHead(logits(V, D, seed=1).float()), logits(N, V, seed=2).float()
    compare = compare or (lambda student, rows: (student, teacher[rows]))
    comparison = None if divergence is None else Comparison(divergence, compare)
    gradients = HeadGradients((hidden, head.weight, None), needed, torch.float32)
    terms = HeadTerms(head, torch.arange(N) if labels else None, comparison, *weights, N)
    sums = HeadRows(terms, gradients, torch.float32)
    for rows in (slice(0, 4), slice(4, 6)):
        sums.add(hidden[rows], rows)
    return sums, gradients.means(N), head.logits(hidden), teacher


def test_sums_are_unweighted():
    sums, _, student, teacher = head_rows(JensenShannon(), weights=(0.3, 0.7))
    torch.testing.assert_close(sums.divergence, JensenShannon(reduction="sum")(student, teacher))
    expected = torch.nn.functional.cross_entropy(student, torch.arange(N), reduction="sum")
    torch.testing.assert_close(sums.task, expected)


def test_a_term_that_is_left_out_is_zero():
    sums, (to_hidden, to_weight, to_bias), _, _ = head_rows(labels=False)
    assert sums.task == sums.divergence == 0
    assert not to_hidden.any()
    assert not to_weight.any()
    assert to_bias is None


def test_gradients_are_those_of_the_weighted_mean():
    _, (to_hidden, to_weight, _), _, teacher = head_rows(ForwardKL(), weights=(0.3, 0.7))
    hidden, weight = logits(N, D).float().requires_grad_(), logits(V, D, seed=1).float().requires_grad_()
    student = hidden @ weight.T
    loss = 0.3 * torch.nn.functional.cross_entropy(student, torch.arange(N)) + 0.7 * ForwardKL()(student, teacher)
    torch.testing.assert_close((to_hidden, to_weight), torch.autograd.grad(loss, (hidden, weight)))


def test_gradients_that_nobody_needs_are_not_computed():
    sums, gradients, student, teacher = head_rows(ForwardKL(), needed=(False, False, False))
    assert gradients == (None, None, None)
    torch.testing.assert_close(sums.divergence, ForwardKL(reduction="sum")(student, teacher))


@pytest.mark.float32
@pytest.mark.skipif(not runs_triton(torch.device("cpu")), reason="Triton does not run here")
def test_one_kernel_is_for_the_students_own_logits_only():
    divergence = AlphaBetaDivergence(0.2, 0.7, backend="triton")
    seen = []

    def own(student, rows):
        seen.append(student.requires_grad)
        return student, torch.zeros_like(student)

    def first_classes(student, rows):
        seen.append(student.requires_grad)
        return student[:, :5], torch.zeros(len(student), 5)

    of_own = head_rows(divergence, compare=own)
    # One kernel needs no autograd.
    assert seen == [False, False]
    torch.testing.assert_close(
        of_own[0].divergence, head_rows(AlphaBetaDivergence(0.2, 0.7), compare=own)[0].divergence
    )
    seen.clear()
    head_rows(divergence, compare=first_classes)
    assert seen == [False, True, False, True]
