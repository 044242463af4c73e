"""How well student and teacher predict the labels: the exponential of the mean cross-entropy."""

import torch
from torch import Tensor

from lightning_abkd.metrics._mean import PositionMean, rowwise


class _Perplexity(PositionMean):
    """Perplexity of one side's logits; a subclass names the side."""

    higher_is_better = False

    def __init__(self, ignore_index: int = -100, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.ignore_index = ignore_index

    def _add(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> None:
        counts = labels != self.ignore_index
        counts = counts if mask is None else counts & mask
        # Labels that do not count may be no classes.
        values = rowwise(_cross_entropy, logits, columns=(labels.masked_fill(~counts, 0),))
        self.accumulate(values, counts)

    def compute(self) -> Tensor:
        """Return the perplexity over all counted positions, shape (); NaN while there is none."""
        return super().compute().exp()


class StudentPerplexity(_Perplexity):
    r"""Perplexity of the student on the labels.

    .. math::

        \exp\Big( -\frac{1}{N} \sum_n \log q_n(l_n) \Big), \qquad q = \mathrm{softmax}(z)

    where:

    - z -> `student_logits`: of the N counted positions n, in float32 or wider.
    - l -> `labels`: class indices.

    Unlike `torchmetrics.text.Perplexity` it stays finite where a probability is too small for float32, and takes any
    leading shape.

    Args:
        ignore_index: Label of positions that do not count.
        **kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> perplexity = StudentPerplexity()
        >>> perplexity.update(torch.zeros(1, 2, 4), torch.tensor([[3, -100]]))
        >>> perplexity.compute()
        tensor(4.)
    """

    def update(self, student_logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            student_logits: Shape (…, V).
            labels: Shape (…), class indices.
            mask: Shape (…), True where a position counts; all with a label count by default.

        Raises:
            ValueError: If the shape of the mask does not fit.
        """
        self._add(student_logits, labels, mask)


class TeacherPerplexity(_Perplexity):
    r"""Perplexity of the teacher on the labels; that of the student is close to it at best.

    .. math::

        \exp\Big( -\frac{1}{N} \sum_n \log p_n(l_n) \Big), \qquad p = \mathrm{softmax}(y)

    where:

    - y -> `teacher_logits`: of the N counted positions n, in float32 or wider.
    - l -> `labels`: class indices.

    Args:
        ignore_index: Label of positions that do not count.
        **kwargs: Options of `torchmetrics.Metric`.

    Example:
        >>> import torch
        >>> perplexity = TeacherPerplexity()
        >>> perplexity.update(torch.tensor([[3.0, 1.0]]).log(), torch.tensor([0]))
        >>> perplexity.compute()  # 1 / (3/4)
        tensor(1.3333)
    """

    def update(self, teacher_logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            teacher_logits: Shape (…, V).
            labels: Shape (…), class indices.
            mask: Shape (…), True where a position counts; all with a label count by default.

        Raises:
            ValueError: If the shape of the mask does not fit.
        """
        self._add(teacher_logits, labels, mask)


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nn.functional.cross_entropy(logits, labels.squeeze(-1).long(), reduction="none")
