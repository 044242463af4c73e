"""Hidden states, heads and logits with the entropies of language models."""

import math

import torch
from torch import Tensor

_NATS = 2.0
_ROWS = 32


def states(
    rows: int, classes: int, width: int, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Draw hidden states (N, D) and head (V, D) of a student, then of a teacher; all are Gaussian.

    The head's scale gives the distributions an entropy of two nats. Student and teacher agree in part: their hidden
    states have a correlation of 0.9, and so have their heads.
    """
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    hidden, head = normal(rows, width), normal(classes, width)
    head *= _scale(hidden[:_ROWS] @ head.T)
    deviation = head.std()
    student = 0.9 * hidden + math.sqrt(0.19) * normal(rows, width)
    student_head = 0.9 * head + math.sqrt(0.19) * deviation * normal(classes, width)
    return student.to(dtype), student_head.to(dtype), hidden.to(dtype), head.to(dtype)


def _scale(logits: Tensor) -> float:
    """Find by bisection the factor that gives logits an entropy of two nats, or of half the largest if that is less."""
    nats, low, high = min(_NATS, math.log(logits.shape[-1]) / 2), 0.0, 20.0
    for _ in range(16):
        middle = (low + high) / 2
        entropy = torch.special.entr(torch.softmax(middle * logits, -1)).sum(-1).mean().item()
        low, high = (middle, high) if entropy > nats else (low, middle)
    return middle


def logits(rows: int, classes: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Draw logits (N, V) of a student, which require a gradient, and of a teacher."""
    student, student_head, teacher, head = states(rows, classes, 64, device, dtype)
    return (student @ student_head.T).requires_grad_(), teacher @ head.T
