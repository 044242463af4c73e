"""The loss and the size of its gradient over the plane of α and β, for a batch."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from lightning_abkd.diagnostics._alpha_beta_plane import draw_planes
from lightning_abkd.kernels import alpha_beta_grid
from lightning_abkd.losses import check_logits

_SIXTHS = tuple(i / 6 for i in range(7))


class DivergenceMap(NamedTuple):
    """Mean divergence and mean norm of its gradient over a batch, for A values of α and B of β.

    Attributes:
        alphas: Values of α.
        betas: Values of β.
        values: Mean divergence, shape (A, B).
        gradient_norms: Mean norm of its gradient, shape (A, B).
        temperature: What both sides' logits were divided by.
        positions: Number of counted positions; None if unknown.
        classes: Number of classes; None if unknown.

    Example: see `divergence_map`.
    """

    alphas: tuple[float, ...]
    betas: tuple[float, ...]
    values: Tensor
    gradient_norms: Tensor
    temperature: float = 1.0
    positions: int | None = None
    classes: int | None = None

    @property
    def batch(self) -> str:
        """What was measured, such as "T = 4, 64 positions of 100 classes"."""
        counted = "" if self.positions is None else f", {self.positions:,} positions of {self.classes:,} classes"
        return f"T = {self.temperature:g}{counted}"


def divergence_map(
    student_logits: Tensor,
    teacher_logits: Tensor,
    alphas: Sequence[float] = _SIXTHS,
    betas: Sequence[float] = _SIXTHS,
    temperature: float = 1.0,
    mask: Tensor | None = None,
) -> DivergenceMap:
    r"""Compute the α-β-divergence of a batch and the size of its gradient on a grid of (α, β), at the cost of a few.

    It shows before a training where in the plane it would start: with no gradient, with one of another order of
    magnitude, or with an infinite loss. For the accuracy see `lightning_abkd.kernels.alpha_beta_grid`.

    .. math::

        D_{ij} = \frac{1}{N} \sum_{n=1}^{N} D_{\alpha_i, \beta_j}(p_n \| q_n), \qquad
        G_{ij} = \frac{1}{N} \sum_{n=1}^{N}
        \Big\| \frac{\partial D_{\alpha_i, \beta_j}(p_n \| q_n)}{\partial z_n} \Big\|_2

    .. math::

        p_n = \mathrm{softmax}(y_n / T), \qquad q_n = \mathrm{softmax}(z_n / T)

    where:

    - D_{α, β} is `lightning_abkd.functional.alpha_beta_divergence`.
    - D_{ij}, G_{ij} -> `values` and `gradient_norms` of the result.
    - z_n, y_n -> `student_logits` and `teacher_logits` of the n-th of N positions that `mask` counts.
    - α_i, β_j -> `alphas`, `betas`: any finite numbers.
    - T -> `temperature`: greater than 0. The paper (Wang et al., "ABKD", ICML 2025, arXiv 2505.04560) uses 4 for
      CIFAR-100 and 1 for language models.

    Args:
        student_logits: Shape (..., V), any floating dtype.
        teacher_logits: Same shape.
        alphas: A values of α; by default 0, 1/6, ..., 1.
        betas: B values of β; the same by default.
        temperature: Both logits are divided by it. There is no factor T².
        mask: Boolean, shape (...), True where a position counts; None counts all.

    Returns:
        Both means over the counted positions, of shape (A, B); NaN where no position counts.

    Raises:
        ValueError: If shapes do not fit, the temperature is not positive, or `alphas` or `betas` is empty or not
            finite.
        TypeError: If the mask is not boolean.

    Example:
        >>> import torch
        >>> student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
        >>> measured = divergence_map(student, teacher, alphas=[1.0], betas=[0.0, 1.0])
        >>> measured.values[0, 0].item(), measured.gradient_norms[0, 0].item()  # forward KL; √2 · 0.3808
        (0.4337..., 0.5385...)
    """
    check_logits(student_logits, teacher_logits, mask)
    if mask is not None:
        student_logits = student_logits[mask]
        teacher_logits = teacher_logits[mask]
    rows = alpha_beta_grid(student_logits, teacher_logits, alphas, betas, temperature)
    shape = (-1, len(alphas), len(betas))
    values, norms = (table.reshape(shape).mean(0) for table in rows)
    positions = student_logits.shape[:-1].numel()
    classes = student_logits.shape[-1]
    return DivergenceMap(tuple(alphas), tuple(betas), values, norms, temperature, positions, classes)


def plot_divergence_map(measured: DivergenceMap, output: str | Path, title: str = "") -> Path:
    """Draw a divergence map as two heat maps side by side: the divergence, and the norm of its gradient.

    Forward KL (1, 0) and reverse KL (0, 1) are named where they are on the grid.

    Args:
        measured: What `divergence_map` returned.
        output: Picture to write; its suffix is the format.
        title: What the batch is of, such as the data set.

    Returns:
        The path of the picture.

    Raises:
        ModuleNotFoundError: If matplotlib is missing.

    Example:
        >>> import torch
        >>> from tempfile import TemporaryDirectory
        >>> measured = divergence_map(torch.randn(4, 10), torch.randn(4, 10), temperature=4.0)
        >>> with TemporaryDirectory() as folder:
        ...     plot_divergence_map(measured, Path(folder, "map.svg")).read_text().startswith("<?xml")
        True
    """
    tables = {"mean divergence": measured.values, "mean norm of its gradient": measured.gradient_norms}
    planes = {heading: _by_point(measured, table) for heading, table in tables.items()}
    return draw_planes(planes, output, ", ".join(part for part in (title, measured.batch) if part))


def _by_point(measured: DivergenceMap, table: Tensor) -> dict[tuple[float, float], list[float]]:
    """Return the values of a table by (α, β), each in a list as if of one seed."""
    points = itertools.product(measured.alphas, measured.betas)
    return {point: [value] for point, value in zip(points, table.flatten().tolist(), strict=True)}
