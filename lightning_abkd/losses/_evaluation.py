"""Several divergences of one batch, with what they share computed once."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.distributed import RowBlocks, whole
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.kernels import log_softmax_at
from lightning_abkd.losses._base import check_mask, check_shapes
from lightning_abkd.losses._chunked import chunks, counted_rows
from lightning_abkd.losses._divergence import Divergence


class DivergenceEvaluation(NamedTuple):
    """Means over the counted positions, each of shape (). Example: see `evaluate_divergences`."""

    divergences: dict[str, Tensor]
    """The divergences by name."""
    teacher_entropy: Tensor
    """Entropy of the teacher at temperature 1, in nats."""
    student_entropy: Tensor
    """Entropy of the student at temperature 1, in nats."""


@torch.no_grad()
def evaluate_divergences(
    divergences: Mapping[str, Divergence], student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None
) -> DivergenceEvaluation:
    r"""Evaluate several divergences of one batch; those with the same temperature share the log-probabilities.

    It compares objectives on the same numbers. Rows are processed in chunks: nothing of the logits' size is kept.

    .. math::

        L_i = \frac{1}{N} \sum_{n=1}^{N} D_i(y_n, z_n), \qquad
        \frac{1}{N} \sum_{n=1}^{N} H(\mathrm{softmax}(y_n)), \qquad
        \frac{1}{N} \sum_{n=1}^{N} H(\mathrm{softmax}(z_n)), \qquad H(p) = -\sum_k p_k \log p_k

    where:

    - z_n, y_n -> `student_logits`, `teacher_logits` of the n-th of N positions that `mask` counts.
    - D_i -> `divergences`, each with its own temperature and T²; see `Divergence`.

    Args:
        divergences: Divergences by name, each a mean over positions (reduction "mean").
        student_logits: Shape (..., V), any floating dtype. Classes that lie on several processes (DTensors) are
            gathered, some rows at a time.
        teacher_logits: Shape (..., V).
        mask: Boolean, shape (...), True where a position counts; None counts all. Other positions are not read.

    Returns:
        The values that the divergences themselves would return, and the entropies; 0 where no position counts.

    Raises:
        ValueError: If shapes do not fit each other, or a divergence is not a mean over positions.
        TypeError: If the mask is not boolean.

    Example:
        >>> from lightning_abkd.losses import ForwardKL, ReverseKL
        >>> both = {"forward": ForwardKL(), "reverse": ReverseKL()}
        >>> found = evaluate_divergences(both, torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
        >>> {name: round(value.item(), 4) for name, value in found.divergences.items()}
        {'forward': 0.4338, 'reverse': 0.3278}
        >>> round(found.teacher_entropy.item(), 4)
        0.6931
    """
    check_shapes(student_logits, teacher_logits)
    if mask is not None:
        check_mask(mask, tuple(student_logits.shape[:-1]))
        mask = whole(mask)
    groups = _group_by_temperature(divergences)
    classes = student_logits.shape[-1]
    student = RowBlocks(student_logits)
    teacher = RowBlocks(teacher_logits)
    index = counted_rows(mask)
    count = student_logits.shape[:-1].numel() if index is None else len(index)
    sums = _Sums(divergences, student_logits.dtype, student_logits.device)
    for chunk in chunks(count, classes, student_logits.device.type):
        rows = chunk if index is None else index[chunk]
        for temperature, group in groups.items():
            log_p = log_softmax_at(promote_to_float32(teacher.block(rows)), torch.tensor(temperature))
            log_q = log_softmax_at(promote_to_float32(student.block(rows)), torch.tensor(temperature))
            sums.add(group, temperature, log_p, log_q)
    return sums.means(divergences, max(count, 1))


def _group_by_temperature(divergences: Mapping[str, Divergence]) -> dict[float, dict[str, Divergence]]:
    """Group divergences by temperature; the temperature 1 is always present, for the entropies."""
    groups: dict[float, dict[str, Divergence]] = {1.0: {}}
    for name, divergence in divergences.items():
        if not divergence.is_rowwise_mean:
            raise ValueError(
                f"Divergences should be means over positions to be evaluated together. Found {name!r}, a "
                f"{type(divergence).__name__} of reduction {divergence.reduction!r}. Call it by itself."
            )
        groups.setdefault(divergence.temperature.item(), {})[name] = divergence
    return groups


class _Sums:
    """Sums over positions: of each divergence, and of the entropies at temperature 1."""

    def __init__(self, names: Mapping[str, Divergence], dtype: torch.dtype, device: torch.device) -> None:
        zero = torch.zeros((), dtype=torch.promote_types(dtype, torch.float32), device=device)
        self.values = {name: zero.clone() for name in names}
        self.teacher_entropy = zero.clone()
        self.student_entropy = zero.clone()

    def add(self, group: Mapping[str, Divergence], temperature: float, log_p: Tensor, log_q: Tensor) -> None:
        """Add rows at the temperature of a group."""
        for name, divergence in group.items():
            self.values[name] += divergence.pointwise(log_p, log_q).sum()
        if temperature == 1.0:
            self.teacher_entropy += torch.special.entr(log_p.exp()).sum()
            self.student_entropy += torch.special.entr(log_q.exp()).sum()

    def means(self, divergences: Mapping[str, Divergence], count: int) -> DivergenceEvaluation:
        """Divide by the number of positions and multiply by T² where a divergence is scaled by it."""
        values = {
            name: self.values[name] / count * (x.temperature.square() if x.scale_by_temperature else 1.0)
            for name, x in divergences.items()
        }
        return DivergenceEvaluation(values, self.teacher_entropy / count, self.student_entropy / count)
