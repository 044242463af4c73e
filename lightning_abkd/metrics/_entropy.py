"""How undecided student and teacher are: the entropy of their outputs."""

import torch
from torch import Tensor

from lightning_abkd.metrics._mean import PositionMean, rowwise


class _Entropy(PositionMean):
    """Entropy of one side's logits; a subclass names the side."""

    higher_is_better = None

    def _add(self, logits: Tensor, temperature: float | Tensor, mask: Tensor | None) -> None:
        self.accumulate(rowwise(_entropy, logits, columns=(temperature,)), mask)


class StudentEntropy(_Entropy):
    r"""Mean entropy of the student's distribution over the classes, in nats.

    .. math::

        \frac{1}{N} \sum_n H(q_n), \qquad H(q) = -\sum_k q_k \log q_k, \qquad
        q = \mathrm{softmax}(z / T)

    where:

    - z -> `student_logits`: of the N counted positions n. A class at −∞ contributes 0.
    - T -> `temperature`: any positive number.

    Example:
        >>> import torch
        >>> entropy = StudentEntropy()
        >>> entropy.update(torch.zeros(3, 4))
        >>> entropy.compute()  # log 4
        tensor(1.3863)
    """

    def update(self, student_logits: Tensor, temperature: float | Tensor = 1.0, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            student_logits: Shape (…, V).
            temperature: Positive, a number or a tensor that broadcasts against the leading shape (…).
            mask: Shape (…), True where a position counts; all count by default.

        Raises:
            ValueError: If the shape of the mask does not fit.
        """
        self._add(student_logits, temperature, mask)


class TeacherEntropy(_Entropy):
    r"""Mean entropy of the teacher's distribution over the classes, in nats.

    .. math::

        \frac{1}{N} \sum_n H(p_n), \qquad H(p) = -\sum_k p_k \log p_k, \qquad
        p = \mathrm{softmax}(z / T)

    where:

    - z -> `teacher_logits`: of the N counted positions n. A class at −∞ contributes 0.
    - T -> `temperature`: any positive number.

    Example:
        >>> import torch
        >>> entropy = TeacherEntropy()
        >>> entropy.update(torch.tensor([[0.0, 0.0, -torch.inf]]), temperature=4.0)
        >>> entropy.compute()  # log 2
        tensor(0.6931)
    """

    def update(self, teacher_logits: Tensor, temperature: float | Tensor = 1.0, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            teacher_logits: Shape (…, V).
            temperature: Positive, a number or a tensor that broadcasts against the leading shape (…).
            mask: Shape (…), True where a position counts; all count by default.

        Raises:
            ValueError: If the shape of the mask does not fit.
        """
        self._add(teacher_logits, temperature, mask)


def _entropy(logits: Tensor, temperature: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr((logits / temperature).softmax(-1)).sum(-1)
    return entropy
