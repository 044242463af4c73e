"""Hidden states, heads and logits with the entropies of language models."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

_NATS = 2.0
_ROWS = 32
# The correlation of the student's hidden states and head with the teacher's, and what keeps their variance.
_AGREEMENT = 0.9
_REST = math.sqrt(0.19)


class States(NamedTuple):
    """Hidden states (N, D) and output layers (V, D)."""

    hidden: Tensor
    head: Tensor
    teacher_hidden: Tensor
    teacher_head: Tensor


def states(rows: int, classes: int, width: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> States:
    """Draw hidden states and output layers of a student and a teacher; all are Gaussian.

    The head's scale gives the distributions an entropy of two nats. Student and teacher agree in part: their hidden
    states have a correlation of 0.9, and so have their heads.
    """
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device)

    hidden = normal(rows, width)
    head = normal(classes, width)
    head *= _scale(hidden[:_ROWS] @ head.T)
    deviation = head.std()
    student = _AGREEMENT * hidden + _REST * normal(rows, width)
    student_head = _AGREEMENT * head + _REST * deviation * normal(classes, width)
    return States(student.to(dtype), student_head.to(dtype), hidden.to(dtype), head.to(dtype))


def _scale(logits: Tensor) -> float:
    """Find by bisection the factor that gives logits an entropy of two nats, or of half the largest if that is less."""
    nats = min(_NATS, math.log(logits.shape[-1]) / 2)
    low = 0.0
    high = 20.0
    for _ in range(16):
        middle = (low + high) / 2
        entropy = torch.special.entr(torch.softmax(middle * logits, -1)).sum(-1).mean().item()
        if entropy > nats:
            low = middle
        else:
            high = middle
    return middle


def logits(rows: int, classes: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Draw logits (N, V) of a student, which require a gradient, and of a teacher."""
    drawn = states(rows, classes, 64, device, dtype)
    return (drawn.hidden @ drawn.head.T).requires_grad_(), drawn.teacher_hidden @ drawn.teacher_head.T
