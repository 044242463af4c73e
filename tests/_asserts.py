"""What every divergence must pass, and errors against the reference numbers."""

from collections.abc import Callable

import torch
from torch import Tensor

from tests._vectors import ALPHA_BETA, Case

Pointwise = Callable[[Tensor, Tensor], Tensor]

CASES = ALPHA_BETA


def logits(*shape: int, scale: float = 3.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def log_probabilities(*shape: int, scale: float = 3.0, seed: int = 0) -> Tensor:
    return logits(*shape, scale=scale, seed=seed).log_softmax(-1)


def assert_divergence(pointwise: Pointwise, sharpest: float = 100.0, exact: bool = True) -> None:
    """Zero at equality, non-negative, the right shape, shift-invariant, differentiable in both arguments."""
    log_p, log_q = log_probabilities(4, 3, 7), log_probabilities(4, 3, 7, seed=1)
    torch.testing.assert_close(pointwise(log_p, log_p), torch.zeros(4, 3, dtype=torch.float64), atol=1e-12, rtol=0)
    values = pointwise(log_p, log_q)
    assert values.shape == (4, 3)
    assert (values > 0).all()
    shifted = pointwise((log_p + 5.0).log_softmax(-1), (log_q - 3.0).log_softmax(-1))
    torch.testing.assert_close(shifted, values)
    assert_gradients(pointwise, sharpest, exact)


def assert_gradients(pointwise: Pointwise, sharpest: float, exact: bool) -> None:
    """The gradient by student and teacher logits is the numerical one, and finite for sharp and -inf logits."""
    z, y = logits(3, 5, seed=2).requires_grad_(), logits(3, 5, seed=3).requires_grad_()
    # A weight that is detached by definition makes the gradient another one than the value's.
    if exact:
        assert torch.autograd.gradcheck(lambda a, b: pointwise(b.log_softmax(-1), a.log_softmax(-1)), (z, y))
    for scale in (1.0, sharpest):
        sharp = logits(6, 9, scale=scale).float()
        sharp[:, 2] = -torch.inf
        student = sharp.flip(0).requires_grad_()
        pointwise(sharp.log_softmax(-1), student.log_softmax(-1)).sum().backward()
        assert student.grad is not None
        assert student.grad.isfinite().all()


def relative_error(value: float, case: Case) -> float:
    return float(abs(value - case["value"]) / abs(case["value"]))


def gradient_error(gradient: Tensor, case: Case) -> float:
    """Largest error of a gradient on the row's natural scale max_k q_k^s · max(1, |E(α; d_k)|) / T."""
    alpha, temperature = case["alpha"], case["temperature"]
    log_q = (torch.tensor(case["student_logits"], dtype=torch.float64) / temperature).log_softmax(-1)
    d = (torch.tensor(case["teacher_logits"], dtype=torch.float64) / temperature).log_softmax(-1) - log_q
    boxcox = torch.expm1(alpha * d) / alpha if alpha else d
    scale = (((alpha + case["beta"]) * log_q).exp() * boxcox.abs().clamp(min=1.0)).max() / temperature
    expected = torch.tensor(case["gradient"], dtype=torch.float64)
    return float((gradient.double() - expected).abs().max() / scale)


def rounding_bound(case: Case, epsilon: float) -> float:
    """Relative error of a value that the rounding of d = log p - log q alone explains, by a change of d by its ulps."""
    temperature = case["temperature"]
    log_q = (torch.tensor(case["student_logits"], dtype=torch.float64) / temperature).log_softmax(-1)
    log_p = (torch.tensor(case["teacher_logits"], dtype=torch.float64) / temperature).log_softmax(-1)
    d = (log_p - log_q).abs()
    rounding = epsilon * (log_p.abs() + log_q.abs() + 1.0)
    power = ((case["alpha"] + case["beta"]) * log_q).exp()
    return float((power * (2.0 * d * rounding + rounding.square())).sum() / (power * d.square()).sum())
