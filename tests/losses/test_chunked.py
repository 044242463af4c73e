import pytest
import torch

from lightning_abkd.losses import AlphaBetaDivergence, Divergence, ForwardKL, TotalVariation, _chunked
from tests._asserts import logits


class SquaredGap(Divergence):
    def pointwise(self, log_p, log_q):
        return (log_p - log_q).square().sum(-1)


def reference(loss, student, teacher, mask=None):
    """Mean over counted rows without chunks or fused rows."""
    log_p, log_q = ((x / loss.temperature).log_softmax(-1) for x in (teacher, student))
    values = loss.pointwise(log_p, log_q)
    return (values if mask is None else values[mask]).mean()


@pytest.mark.parametrize("loss", [SquaredGap(2.0), AlphaBetaDivergence(0.2, 0.7, temperature=2.0)])
@pytest.mark.parametrize("masked", [False, True])
def test_chunks_change_neither_value_nor_gradient(monkeypatch, loss, masked):
    monkeypatch.setitem(_chunked._CHUNK_ELEMENTS, "cpu", 3 * 11)
    student, teacher = logits(5, 4, 11).float().requires_grad_(), logits(5, 4, 11, seed=1).float()
    mask = torch.rand(5, 4) < 0.6 if masked else None
    value = loss(student, teacher, mask)
    expected = reference(loss, student, teacher, mask)
    torch.testing.assert_close(value, expected)
    actual, wanted = (torch.autograd.grad(x, student)[0] for x in (value, expected))
    torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("loss", [SquaredGap(), AlphaBetaDivergence()])
def test_masked_positions_are_never_read(loss):
    student, teacher = logits(4, 5).float(), logits(4, 5, seed=1).float()
    student[1], teacher[2] = torch.nan, torch.inf
    student.requires_grad_()
    value = loss(student, teacher, torch.tensor([True, False, False, True]))
    value.backward()
    assert value.isfinite()
    assert student.grad.isfinite().all()


def test_second_backward_pass_gives_the_same_gradient():
    student = logits(4, 5).float().requires_grad_()
    value = AlphaBetaDivergence()(student, logits(4, 5, seed=1).float())
    first, second = torch.autograd.grad(value, student, retain_graph=True)[0], torch.autograd.grad(value, student)[0]
    torch.testing.assert_close(first, second)


def test_half_precision_gradients_survive_loss_scaling():
    student = torch.zeros(1, 1000, dtype=torch.float16, requires_grad=True)
    teacher = (1e-2 * torch.randn(1, 1000)).half()
    (65536.0 * TotalVariation()(student, teacher)).backward()
    single = student.detach().float().requires_grad_()
    (65536.0 * TotalVariation()(single, teacher.float())).backward()
    torch.testing.assert_close(student.grad.float(), single.grad, rtol=1e-2, atol=1e-4)


def test_non_contiguous_logits_are_fine():
    student = logits(9, 4).float().T.requires_grad_()
    value = AlphaBetaDivergence()(student, logits(9, 4, seed=1).float().T)
    torch.testing.assert_close(value, AlphaBetaDivergence()(student.contiguous(), logits(9, 4, seed=1).float().T))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_batch_that_is_one_chunk_is_reduced_and_scaled_alike(monkeypatch, reduction):
    loss, student, teacher = ForwardKL(2.0, True, reduction), logits(6, 11).float(), logits(6, 11, seed=1).float()
    student.requires_grad_()
    whole = loss(student, teacher)
    gradient = torch.autograd.grad(whole.sum(), student)[0]
    monkeypatch.setitem(_chunked._CHUNK_ELEMENTS, "cpu", 2 * 11)
    torch.testing.assert_close(loss(student, teacher), whole)
    torch.testing.assert_close(torch.autograd.grad(loss(student, teacher).sum(), student)[0], gradient)
