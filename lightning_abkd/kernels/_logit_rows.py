"""Rows of logits, with the log-probabilities that several computations share."""

import functools

import torch
from torch import Tensor


class LogitRows:
    r"""Rows of logits of student and teacher at one temperature, whose log-probabilities are computed at most once.

    .. math::

        \log p = \log \mathrm{softmax}(y / T), \qquad \log q = \log \mathrm{softmax}(z / T)

    where:

    - z, y -> `student_logits`, `teacher_logits`.
    - T -> `temperature`: greater than 0.

    Args:
        student_logits: Shape (n, V), any floating dtype; promoted to at least float32.
        teacher_logits: Shape (n, V), any floating dtype; promoted to at least float32.
        temperature: T > 0, 0-dimensional; both logits are divided by it.

    Example:
        >>> rows = LogitRows(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor(1.0))
        >>> [round(x, 4) for x in rows.log_q[0].exp().tolist()]
        [0.8808, 0.1192]
    """

    def __init__(self, student_logits: Tensor, teacher_logits: Tensor, temperature: Tensor) -> None:
        self.student_logits = _promote(student_logits)
        self.teacher_logits = _promote(teacher_logits)
        self.temperature = temperature

    @functools.cached_property
    def log_p(self) -> Tensor:
        """Log-probabilities of the teacher, shape (n, V)."""
        return torch.log_softmax(self.teacher_logits / self.temperature, -1)

    @functools.cached_property
    def log_q(self) -> Tensor:
        """Log-probabilities of the student, shape (n, V)."""
        return torch.log_softmax(self.student_logits / self.temperature, -1)


def _promote(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
