"""A measurement over the plane of α and β."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_abkd.diagnostics._figure import Figure, Panel

_CELL_WIDTH = 1.1
_CELL_HEIGHT = 0.7 * _CELL_WIDTH
_MARGIN_WIDTH = 2.6
_MARGIN_HEIGHT = 1.6
_THREE_DECADES = 1000.0

Plane = Mapping[tuple[float, float], Sequence[float]]


class Cell(NamedTuple):
    """What a map shows of one point: mean and standard deviation over the seeds that did not diverge."""

    mean: float
    deviation: float
    seeds: int

    @property
    def text(self) -> str:
        """The numbers as the map shows them."""
        if math.isnan(self.mean):
            return "diverged"
        if math.isinf(self.mean):
            return "∞"
        return f"{self.mean:#.4g}" + (f"\n± {self.deviation:#.2g}" if self.seeds > 1 else "")


def summarize_seeds(values: Sequence[float]) -> Cell:
    """Compute mean and standard deviation over the seeds that have a value.

    Args:
        values: One value per seed, NaN where the training diverged.

    Returns:
        Mean, NaN where all diverged; deviation, 0 where one value is left; number of seeds, diverged ones included.

    Example:
        >>> summarize_seeds([1.0, 3.0, float("nan")])
        Cell(mean=2.0, deviation=1.4142135623730951, seeds=3)
    """
    known = [value for value in values if not math.isnan(value)]
    mean = statistics.fmean(known) if known else math.nan
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return Cell(mean, deviation, len(values))


def plot_alpha_beta_plane(values: Plane, output: str | Path, label: str = "accuracy") -> Path:
    """Draw a heat map over α and β: in each cell the mean over its seeds, with its standard deviation.

    Args:
        values: One value per seed by (α, β), not necessarily of a whole grid; NaN for a training that diverged.
        output: Picture to write; its suffix is the format.
        label: What is measured.

    Returns:
        The path of the picture.

    Raises:
        ValueError: If there are no values.
        ModuleNotFoundError: If matplotlib is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> accuracies = {(0.5, 0.0): [0.71, 0.73], (1.0, 0.0): [0.74, 0.75], (1.0, 0.3): [0.70, float("nan")]}
        >>> with TemporaryDirectory() as folder:
        ...     plot_alpha_beta_plane(accuracies, Path(folder, "plane.svg")).read_text().startswith("<?xml")
        True
    """
    if not values:
        raise ValueError("Parameter `values` should have at least one point (α, β). Found none.")
    seeds = max(len(runs) for runs in values.values())
    title = f"{label}, mean ± sd over {seeds} seeds" if seeds > 1 else f"{label}, one seed"
    return draw_planes({title: values}, output)


def draw_planes(planes: Mapping[str, Plane], output: str | Path) -> Path:
    """Draw heat maps over α and β side by side, each as `plot_alpha_beta_plane` does, by their titles.

    Values that are positive and spread over more than three decades are coloured by their logarithm.
    """
    figure = Figure(1, len(planes), _figure_size(list(planes.values())))
    for panel, (title, values) in zip(figure.panels, planes.items(), strict=True):
        cells = {point: summarize_seeds(seeds) for point, seeds in values.items()}
        _draw_cells(figure, panel, cells)
        panel.set_title(title)
    return figure.save(output)


def _axis_values(points: Mapping[tuple[float, float], object]) -> tuple[list[float], list[float]]:
    """Return the values of α and those of β, each sorted."""
    return sorted({alpha for alpha, _ in points}), sorted({beta for _, beta in points})


def _figure_size(planes: Sequence[Plane]) -> tuple[float, float]:
    """Compute width and height in inches of maps side by side."""
    counts = [[len(values) for values in _axis_values(plane)] for plane in planes]
    width = sum(_CELL_WIDTH * alphas + _MARGIN_WIDTH for alphas, _ in counts)
    return width, _CELL_HEIGHT * max(betas for _, betas in counts) + _MARGIN_HEIGHT


def _draw_cells(figure: Figure, panel: Panel, cells: Mapping[tuple[float, float], Cell]) -> None:
    """Draw one map: a coloured cell with its numbers for every point, and the scale of colours beside it."""
    alphas, betas = _axis_values(cells)
    means = {point: cell.mean for point, cell in cells.items()}
    grid = [[means.get((alpha, beta), math.nan) for alpha in alphas] for beta in betas]
    # cividis looks nearly the same with and without colour blindness.
    image = panel.axes.imshow(grid, cmap="cividis", norm=_colour_scale(means.values()), origin="lower", aspect="auto")
    for (alpha, beta), cell in cells.items():
        is_dark = math.isfinite(cell.mean) and image.norm(cell.mean) < 0.5
        colour = "white" if is_dark else "black"
        panel.axes.text(
            alphas.index(alpha), betas.index(beta), cell.text, ha="center", va="center", fontsize=9, color=colour
        )
    _label_axes(panel, alphas, betas)
    figure.page.colorbar(image, ax=panel.axes)


def _label_axes(panel: Panel, alphas: Sequence[float], betas: Sequence[float]) -> None:
    panel.axes.set_xticks(range(len(alphas)), [f"{alpha:.3g}" for alpha in alphas])
    panel.axes.set_yticks(range(len(betas)), [f"{beta:.3g}" for beta in betas])
    panel.axes.set_xlabel("α")
    panel.axes.set_ylabel("β")
    panel.axes.spines[:].set_visible(False)


def _colour_scale(means: Iterable[float]) -> str:
    """Choose matplotlib's name of the scale on which values are coloured."""
    known = [mean for mean in means if math.isfinite(mean)]
    return "log" if known and 0.0 < min(known) < max(known) / _THREE_DECADES else "linear"
