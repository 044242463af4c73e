"""Several divergences of one batch, with what they share computed once."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.losses._base import check_logits
from lightning_abkd.losses._chunked import chunks
from lightning_abkd.losses._divergence import Divergence, wide


class DivergenceEvaluation(NamedTuple):
    """Means over the counted positions, shape () each: the divergences by name, and both entropies at T = 1 in nats."""

    divergences: dict[str, Tensor]
    teacher_entropy: Tensor
    student_entropy: Tensor


@torch.no_grad()
def evaluate_divergences(
    divergences: Mapping[str, Divergence], student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None
) -> DivergenceEvaluation:
    """Evaluate divergences of one batch; those of one temperature share normalisers and log-probabilities.

    For comparing objectives on equal terms. Rows are worked off in chunks: nothing of the logits' size is kept.

    Args:
        divergences: Divergences by name, each a mean over positions (reduction "mean").
        student_logits: Shape (..., V), any floating dtype.
        teacher_logits: Shape (..., V).
        mask: Boolean, shape (...), True where a position counts; None counts all. Others are not read.

    Returns:
        The values that the divergences themselves would give, and the entropies; 0 where no position counts.

    Raises:
        ValueError: If shapes do not fit each other, or a divergence is no mean over positions.
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
    check_logits(student_logits, teacher_logits, mask)
    groups: dict[float, list[str]] = {1.0: []}
    for name, divergence in divergences.items():
        if not divergence.of_rows:
            raise ValueError(
                f"Divergences should be means over positions to be evaluated together. Found {name!r}, a "
                f"{type(divergence).__name__} of reduction {divergence.reduction!r}. Call it by itself."
            )
        groups.setdefault(divergence.temperature.item(), []).append(name)
    classes = student_logits.shape[-1]
    student, teacher = (x.reshape(-1, classes) for x in (student_logits, teacher_logits))
    counted = torch.arange(len(student), device=student.device) if mask is None else mask.reshape(-1).nonzero()[:, 0]
    sums = wide(student).new_zeros(len(divergences) + 2)
    places = {name: place for place, name in enumerate(divergences)}
    for chunk in chunks(len(counted), classes, student.device.type):
        for temperature, names in groups.items():
            log_p, log_q = (torch.log_softmax(wide(x[counted[chunk]]) / temperature, -1) for x in (teacher, student))
            for name in names:
                sums[places[name]] += divergences[name].pointwise(log_p, log_q).sum()
            if temperature == 1.0:
                sums[-2:] += torch.stack([torch.special.entr(x.exp()).sum() for x in (log_p, log_q)])
    *values, teacher_entropy, student_entropy = (sums / max(len(counted), 1)).unbind()
    scaled = {
        name: value * (x.temperature.square() if x.scale_by_temperature else 1.0)
        for (name, x), value in zip(divergences.items(), values, strict=True)
    }
    return DivergenceEvaluation(scaled, teacher_entropy, student_entropy)
