"""A teacher's logits next to the student's, from hidden states and an output layer."""

from dataclasses import dataclass, field

from torch import Tensor

from lightning_abkd.distributed import is_sharded
from lightning_abkd.losses.hidden._output_head import OutputHead


@dataclass
class TeacherHead:
    """Pairs the student's logits of some rows with a teacher's; see `compare_with_head`.

    Args:
        hidden: Last hidden states of the teacher, shape (N, D).
        head: The teacher's output layer.
    """

    hidden: Tensor
    head: OutputHead
    _buffer: Tensor | None = field(default=None, init=False, repr=False)

    def __call__(self, student_logits: Tensor, rows: slice) -> tuple[Tensor, Tensor]:
        """Return the student's logits of some rows, and the teacher's, which the next call overwrites.

        Where one of both lies on several processes, nothing is overwritten.
        """
        if is_sharded(self.head.weight) or is_sharded(student_logits):
            return student_logits, self.head.logits(self.hidden[rows])
        if self._buffer is None or len(self._buffer) != len(student_logits):
            self._buffer = student_logits.new_empty(len(student_logits), len(self.head.weight))
        return student_logits, self.head.write(self.hidden[rows].to(self.head.weight.dtype), self._buffer)
