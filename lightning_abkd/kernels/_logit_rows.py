"""Rows of logits, with the log-probabilities that several computations share."""

import torch
from torch import Tensor

from lightning_abkd.functional import can_read_without_sync, promote_to_float32


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
        self.student_logits = promote_to_float32(student_logits)
        self.teacher_logits = promote_to_float32(teacher_logits)
        self.temperature = temperature
        # No cached properties: torch.compile cannot trace their locks.
        self._log_p: Tensor | None = None
        self._log_q: Tensor | None = None

    @property
    def log_p(self) -> Tensor:
        """Log-probabilities of the teacher, shape (n, V)."""
        if self._log_p is None:
            self._log_p = log_softmax_at(self.teacher_logits, self.temperature)
        return self._log_p

    @property
    def log_q(self) -> Tensor:
        """Log-probabilities of the student, shape (n, V)."""
        if self._log_q is None:
            self._log_q = log_softmax_at(self.student_logits, self.temperature)
        return self._log_q


def log_softmax_at(logits: Tensor, temperature: Tensor) -> Tensor:
    """Compute log softmax(logits / T) in the dtype of the logits.

    For T < 1 the quotients could overflow, so that the largest logit is subtracted first. It is not where T cannot be
    read without synchronising with a device.

    Args:
        logits: Shape (..., V), float32 or wider.
        temperature: T > 0, 0-dimensional.

    Returns:
        Log-probabilities, shape (..., V).

    Example:
        >>> log_softmax_at(torch.tensor([3e38, 0.0]), torch.tensor(1e-3))
        tensor([0., -inf])
    """
    if can_read_without_sync(temperature):
        divisor = temperature.item()
        if divisor == 1.0:
            return torch.log_softmax(logits, -1)
        if divisor < 1.0 and logits.numel():
            logits = logits - logits.detach().amax(-1, keepdim=True)
    return torch.log_softmax(logits / temperature, -1)
