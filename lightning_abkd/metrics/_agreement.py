"""How often the student decides as its teacher does."""

from torch import Tensor

from lightning_abkd.metrics._mean import PositionMean, rowwise


class TeacherAgreement(PositionMean):
    r"""Share of positions at which the student's most probable class is the teacher's.

    Known as top-1 agreement or fidelity. Paper: Stanton et al. 2021, "Does Knowledge Distillation Really Work?",
    arXiv 2106.05945.

    .. math::

        \frac{1}{N} \sum_n \big[ \arg\max_k z_{nk} = \arg\max_k y_{nk} \big]

    where:

    - z, y -> `student_logits`, `teacher_logits`: of the N counted positions n.

    Example:
        >>> import torch
        >>> agreement = TeacherAgreement()
        >>> agreement.update(torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([[3.0, 0.0], [1.0, 0.0]]))
        >>> agreement.compute()
        tensor(0.5000)
    """

    higher_is_better = True

    def update(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            student_logits: Shape (…, V).
            teacher_logits: Shape (…, V).
            mask: Shape (…), True where a position counts; all count by default.

        Raises:
            ValueError: If the shapes do not fit.
        """
        self.accumulate(rowwise(_agreement, student_logits, teacher_logits), mask)


def _agreement(student_logits: Tensor, teacher_logits: Tensor) -> Tensor:
    same = student_logits.argmax(-1) == teacher_logits.argmax(-1)
    return same.to(student_logits.dtype)
