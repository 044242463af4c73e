import pytest
import torch
from torch import Tensor, nn

from lightning_abkd.kernels import runs_triton
from lightning_abkd.losses import (
    TAID,
    AlphaBetaDivergence,
    Divergence,
    ForwardKL,
    OutputHead,
    compare_with_head,
    head_loss,
)
from lightning_abkd.losses.hidden import _head_loss

N, V, D = 11, 37, 5


def tensors(dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    shapes = [(N, D), (V, D), (V,), (N, D + 2), (V, D + 2)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def both(divergence, scale=1.0, softcap=None, bias=True, weights=(0.3, 1.7), dtype=torch.float64):
    """Loss and gradients from hidden states, and from logits."""
    results = []
    for fused in (True, False):
        hidden, weight, offset, teacher_hidden, teacher_weight = tensors(dtype)
        leaves = [hidden, weight, *([offset] if bias else [])]
        for leaf in leaves:
            leaf.requires_grad_()
        head = OutputHead(weight, offset if bias else None, scale, softcap)
        labels, teacher = torch.arange(N), OutputHead(teacher_weight, None, scale, softcap)
        if fused:
            loss = head_loss(
                hidden, head, labels, compare_with_head(teacher_hidden, teacher), divergence, *weights
            ).loss
        else:
            logits = head.logits(hidden)
            loss = weights[0] * nn.functional.cross_entropy(logits, labels)
            loss = loss + weights[1] * divergence(logits, teacher.logits(teacher_hidden))
        results.append([loss.detach(), *torch.autograd.grad(loss, leaves)])
    return results


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setitem(_head_loss._CHUNK_ELEMENTS, "cpu", 4 * V)


@pytest.mark.parametrize("divergence", [ForwardKL(), AlphaBetaDivergence(0.2, 0.7, 2.0, scale_by_temperature=True)])
@pytest.mark.parametrize("options", [{}, {"bias": False}, {"scale": 0.3}, {"softcap": 2.0, "scale": 1.5}])
def test_numbers_are_those_of_the_logits(divergence, options):
    torch.testing.assert_close(*both(divergence, **options), rtol=1e-9, atol=1e-11)


def test_numbers_agree_in_float32():
    torch.testing.assert_close(*both(AlphaBetaDivergence(0.2, 0.7), dtype=torch.float32), rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(not runs_triton(torch.device("cpu")), reason="Triton does not run here")
@pytest.mark.parametrize("options", [{}, {"bias": False, "scale": 0.3}, {"softcap": 2.0, "scale": 1.5}])
def test_one_kernel_gives_the_numbers_of_the_logits(options):
    divergence = AlphaBetaDivergence(0.2, 0.7, 2.0, scale_by_temperature=True, backend="triton")
    torch.testing.assert_close(*both(divergence, dtype=torch.float32, **options), rtol=1e-4, atol=1e-6)


@pytest.mark.skipif(not runs_triton(torch.device("cpu")), reason="Triton does not run here")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_one_kernel_takes_half_precision_heads(dtype):
    fused, exact = both(AlphaBetaDivergence(backend="triton"), dtype=dtype)[0], both(AlphaBetaDivergence())[1]
    for ours, theirs in zip(fused, exact, strict=True):
        assert ours.dtype in (dtype, torch.float32)
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=0.1, atol=0.02)


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.0, 1.0)])
def test_a_weight_of_zero_leaves_the_other_term(weights):
    torch.testing.assert_close(*both(ForwardKL(), weights=weights), rtol=1e-9, atol=1e-11)


def test_half_precision_heads_stay_near():
    fused, plain = both(AlphaBetaDivergence(0.2, 0.7), dtype=torch.bfloat16)
    for ours, theirs in zip(fused, plain, strict=True):
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=0.1, atol=0.02)


def test_full_logits_never_exist(monkeypatch):
    monkeypatch.setitem(_head_loss._CHUNK_ELEMENTS, "cpu", 2 * V)
    hidden, weight, _, teacher_hidden, teacher_weight = tensors()
    largest = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            largest.append(result.numel() if isinstance(result, Tensor) else 0)
            return result

    with Spy():
        compare = compare_with_head(teacher_hidden, OutputHead(teacher_weight))
        head_loss(hidden.requires_grad_(), OutputHead(weight), None, compare, ForwardKL()).loss.backward()
    # The largest is the teacher's head itself.
    assert max(largest) == V * (D + 2) < N * V


def test_without_positions_the_loss_is_a_connected_zero():
    hidden, weight, *_ = tensors()
    empty = hidden[:0].clone().requires_grad_()
    loss = head_loss(empty, OutputHead(weight), torch.zeros(0, dtype=torch.long)).loss
    loss.backward()
    assert loss == 0
    assert empty.grad.shape == (0, D)


def test_a_frozen_head_gets_no_gradient():
    hidden, weight, *_ = tensors()
    head_loss(hidden.requires_grad_(), OutputHead(weight), torch.arange(N)).loss.backward()
    assert hidden.grad.abs().sum() > 0
    assert weight.grad is None


def test_a_second_backward_pass_is_refused():
    hidden, weight, *_ = tensors()
    loss = head_loss(hidden.requires_grad_(), OutputHead(weight), torch.arange(N)).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="for one backward pass"):
        loss.backward()


def test_divergences_that_move_are_told_the_loss():
    hidden, weight, _, teacher_hidden, teacher_weight = tensors()
    moving = TAID(total_steps=3)
    for _ in range(3):
        head_loss(
            hidden, OutputHead(weight), None, compare_with_head(teacher_hidden, OutputHead(teacher_weight)), moving
        )
    assert moving.batches == 3
    assert moving.t > 0.4


def test_comparisons_may_transform_the_students_logits():
    hidden, weight, _, teacher_hidden, teacher_weight = tensors()
    target = OutputHead(teacher_weight).logits(teacher_hidden)
    losses = []
    for fused in (True, False):
        leaf = hidden.clone().requires_grad_()
        if fused:
            loss = head_loss(
                leaf, OutputHead(weight), None, lambda x, rows: (x[:, :9], target[rows, :9]), ForwardKL()
            ).loss
        else:
            loss = ForwardKL()(leaf @ weight.T[:, :9], target[:, :9])
        losses.append(torch.autograd.grad(loss, leaf)[0])
    torch.testing.assert_close(*losses)


def test_losses_that_are_no_mean_over_positions_are_refused():
    class Whole(Divergence):
        def forward(self, student_logits, teacher_logits):
            return student_logits.max() - teacher_logits.max()

    hidden, weight, *_ = tensors()
    head = OutputHead(weight)
    for divergence in (Whole(), ForwardKL(reduction="sum")):
        with pytest.raises(ValueError, match="a mean over positions"):
            head_loss(hidden, head, None, compare_with_head(hidden, head), divergence)
