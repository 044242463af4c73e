"""What the tests of the Triton kernels share: where they run, rows, and the references."""

import os
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.kernels import runs_triton

DEVICE = os.environ.get("ABKD_TEST_DEVICE", "cpu")
needs_triton = pytest.mark.skipif(not runs_triton(torch.device(DEVICE)), reason="Triton does not run here")


def rows(count: int, classes: int, seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float32) -> Tensor:
    numbers = torch.randn(count, classes, generator=torch.Generator().manual_seed(seed))
    return (scale * numbers).to(DEVICE, dtype).requires_grad_()


def eager(
    student: Tensor,
    teacher: Tensor,
    alpha: float,
    beta: float,
    temperature: float = 1.0,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Values and the gradients of their sum by both logits, from log_softmax; in float64 by default."""
    z, y = (x.detach().to(dtype or torch.float64).requires_grad_() for x in (student, teacher))
    log_p, log_q = ((x / temperature).log_softmax(-1) for x in (y, z))
    values = alpha_beta_divergence(log_p, log_q, alpha, beta)
    of_student, of_teacher = torch.autograd.grad(values.sum(), (z, y))
    return values.detach(), of_student, of_teacher


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill what is allocated without a value with NaN."""
    for owner, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        original = getattr(owner, name)

        def allocate(*args: Any, original: Any = original, **options: Any) -> Tensor:
            tensor: Tensor = original(*args, **options)
            if tensor.is_floating_point():
                tensor.detach().fill_(torch.nan)
            return tensor

        monkeypatch.setattr(owner, name, allocate)
