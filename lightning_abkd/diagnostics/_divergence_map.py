"""The loss and the size of its gradient over the plane of α and β, for a batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lightning_abkd.diagnostics._alpha_beta_plane import draw_planes
from lightning_abkd.kernels import alpha_beta_grid
from lightning_abkd.losses import check_logits

_SIXTHS = tuple(i / 6 for i in range(7))


class DivergenceMap(NamedTuple):
    """Mean divergence and mean norm of its gradient, both (A, B), for A values of α and B of β."""

    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    values: Tensor
    gradient_norms: Tensor


def divergence_map(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alphas: Sequence[float] = _SIXTHS,
    betas: Sequence[float] = _SIXTHS,
    temperature: float = 1.0,
    mask: Tensor | None = None,
) -> DivergenceMap:
    """Compute the α-β-divergence of a batch and the size of its gradient for all α and β, at the price of a few.

    It tells before a training where in the plane it would start: with no gradient, with one of another order of
    magnitude, or with an infinite loss. See `lightning_abkd.kernels.alpha_beta_grid` for the accuracy.

    Args:
        student_logits: Shape (..., V), any floating dtype.
        teacher_logits: Same shape.
        alphas: A values of α, any finite numbers; as they stand, 0, 1/6, ..., 1.
        betas: B values of β.
        temperature: T > 0; both logits are divided by it. There is no factor T².
        mask: Boolean, shape (...), True where a position counts; None counts all.

    Returns:
        Means over the counted positions of the divergence and of the Euclidean norm of its gradient by the position's
        student logits; NaN where none counts.

    Raises:
        ValueError: If shapes do not fit, the temperature is not positive, or an exponent is missing or not finite.
        TypeError: If the mask is not boolean.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> divergence_map(student, teacher, alphas=[0.2, 1.0], betas=[0.7]).values.shape
        torch.Size([2, 1])
    """
    check_logits(student_logits, teacher_logits, mask)
    if mask is not None:
        student_logits, teacher_logits = student_logits[mask], teacher_logits[mask]
    rows = alpha_beta_grid(student_logits, teacher_logits, alphas, betas, temperature)
    values, norms = (table.reshape(-1, len(alphas), len(betas)).mean(0) for table in rows)
    return DivergenceMap(tuple(alphas), tuple(betas), values, norms)


def plot_divergence_map(measured: DivergenceMap, output: str | Path) -> Path:
    """Draw a divergence map as two heat maps side by side: the divergence, and the norm of its gradient.

    Args:
        measured: What `divergence_map` returned.
        output: Picture to write, its format by its suffix.

    Returns:
        The path of the picture.

    Raises:
        ModuleNotFoundError: If matplotlib is missing.
    """
    tables = {"divergence": measured.values, "norm of its gradient": measured.gradient_norms}
    return draw_planes({title: _points(measured, table) for title, table in tables.items()}, output)


def _points(measured: DivergenceMap, table: Tensor) -> dict[tuple[float, float], list[float]]:
    rows = zip(measured.alphas, table.tolist(), strict=True)
    return {(alpha, beta): [x] for alpha, row in rows for beta, x in zip(measured.betas, row, strict=True)}
