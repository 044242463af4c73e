"""A measurement over the plane of α and β."""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from lightning_abkd._utils import check_choice, require, three_digits
from lightning_abkd.diagnostics._figure import Figure, Panel
from lightning_abkd.diagnostics._seeds import Summary, ranked, summarize_seeds

_CELL_WIDTH = 1.15
_CELL_HEIGHT = 0.7 * _CELL_WIDTH
_NARROWEST = 2.5
_MARGIN_WIDTH = 2.0
_MARGIN_HEIGHT = 1.6
_PAGE_WIDTH = 12.0
_THREE_DECADES = 1000.0
_NAMES = {(1.0, 0.0): "forward KL", (0.0, 1.0): "reverse KL"}

Point = tuple[float, float]
Plane = Mapping[Point, Sequence[float]]


def plot_alpha_beta_plane(
    values: Plane,
    output: str | Path,
    label: str = "accuracy",
    mode: Literal["max", "min"] = "max",
    best: Point | None = None,
    title: str = "",
) -> Path:
    """Draw a heat map over α and β: in each cell the median of its seeds, with the lowest and the highest.

    A frame marks the best point; forward KL (1, 0) and reverse KL (0, 1) are named where they are on the grid.

    Args:
        values: One value per seed by (α, β), not necessarily of a whole grid; NaN for a training that diverged.
        output: Picture to write; its suffix is the format.
        label: What is measured.
        mode: Whether the best value is the largest ("max") or the smallest ("min").
        best: Point to mark; None marks that with the best median.
        title: What was trained: data, temperature, batch size.

    Returns:
        The path of the picture.

    Raises:
        ValueError: If there are no values, or the mode is another word.
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
    check_choice("mode", mode, ("max", "min"))
    seeds = max(len(runs) for runs in values.values())
    heading = f"{label}, median of {seeds} seeds (lowest–highest)" if seeds > 1 else f"{label}, one seed"
    return draw_planes({heading: values}, output, title, best or next(iter(ranked(values, mode)), None))


def draw_planes(planes: Mapping[str, Plane], output: str | Path, title: str = "", best: Point | None = None) -> Path:
    """Draw heat maps over α and β, each as `plot_alpha_beta_plane` does, by their titles.

    Maps stand side by side if they fit a page, else below each other. Values that are positive and spread over more
    than three decades are coloured by their logarithm.
    """
    width, height = _size(list(planes.values()))
    columns = len(planes) if width * len(planes) <= _PAGE_WIDTH else 1
    rows = -(-len(planes) // columns)
    figure = Figure(rows, columns, (width * columns, height * rows))
    for panel, (heading, values) in zip(figure.panels, planes.items(), strict=True):
        cells = {point: summarize_seeds(seeds) for point, seeds in values.items()}
        _draw_cells(figure, panel, cells, best)
        panel.set_title(heading)
    # A long title breaks over lines above a narrow map.
    figure.page.suptitle(f"lightning_abkd: {title}" if title else "lightning_abkd", wrap=True)
    return figure.save(output)


def _axis_values(points: Mapping[Point, object]) -> tuple[list[float], list[float]]:
    """Return the values of α and those of β, each sorted."""
    return sorted({alpha for alpha, _ in points}), sorted({beta for _, beta in points})


def _size(planes: Sequence[Plane]) -> tuple[float, float]:
    """Compute width and height in inches that every map fits."""
    counts = [[len(values) for values in _axis_values(plane)] for plane in planes]
    width = _CELL_WIDTH * max(alphas for alphas, _ in counts)
    height = _CELL_HEIGHT * max(betas for _, betas in counts)
    return max(width, _NARROWEST) + _MARGIN_WIDTH, height + _MARGIN_HEIGHT


def _draw_cells(figure: Figure, panel: Panel, cells: Mapping[Point, Summary], best: Point | None) -> None:
    """Draw one map: a coloured cell with its numbers for every point, and the scale of colours beside it."""
    alphas, betas = _axis_values(cells)
    medians = {point: cell.median for point, cell in cells.items()}
    grid = [[medians.get((alpha, beta), math.nan) for alpha in alphas] for beta in betas]
    # cividis looks nearly the same with and without colour blindness.
    image = panel.axes.imshow(grid, cmap="cividis", norm=_colour_scale(medians.values()), origin="lower", aspect="auto")
    for point, cell in cells.items():
        is_dark = math.isfinite(cell.median) and image.norm(cell.median) < 0.5
        place = alphas.index(point[0]), betas.index(point[1])
        panel.axes.text(
            *place,
            _text(point, cell, best),
            ha="center",
            va="center",
            fontsize=9,
            color="white" if is_dark else "black",
            fontweight="bold" if point == best else "normal",
        )
        if point == best:
            _frame(panel, place)
    _label_axes(panel, alphas, betas)
    figure.page.colorbar(image, ax=panel.axes)


def _text(point: Point, cell: Summary, best: Point | None) -> str:
    """Return what a cell says: its numbers, the name of its point, and whether it is the best."""
    lines = [_shown(cell), _NAMES.get(point, ""), "best" if point == best else ""]
    return "\n".join(line for line in lines if line)


def _shown(cell: Summary) -> str:
    """Return the numbers of a cell, or what became of its seeds."""
    if math.isnan(cell.median):
        return "diverged"
    if math.isinf(cell.median):
        return "∞"
    lines = [three_digits(cell.median)]
    if cell.seeds - cell.diverged > 1:
        lines.append(f"{three_digits(cell.lowest)}–{three_digits(cell.highest)}")
    if cell.diverged:
        lines.append(f"{cell.diverged} diverged")
    return "\n".join(lines)


def _frame(panel: Panel, place: tuple[int, int]) -> None:
    """Draw a frame around a cell that is seen on bright and dark colours."""
    patches = require("matplotlib.patches", "quickstart", "A picture")
    corner = place[0] - 0.47, place[1] - 0.47
    for colour, width in (("black", 5.0), ("white", 2.0)):
        panel.axes.add_patch(patches.Rectangle(corner, 0.94, 0.94, fill=False, edgecolor=colour, linewidth=width))


def _label_axes(panel: Panel, alphas: Sequence[float], betas: Sequence[float]) -> None:
    panel.axes.set_xticks(range(len(alphas)), [f"{alpha:.3g}" for alpha in alphas])
    panel.axes.set_yticks(range(len(betas)), [f"{beta:.3g}" for beta in betas])
    panel.axes.set_xlabel("α")
    panel.axes.set_ylabel("β")
    panel.axes.spines[:].set_visible(False)


def _colour_scale(medians: Iterable[float]) -> str:
    """Choose matplotlib's name of the scale on which values are coloured."""
    known = [median for median in medians if math.isfinite(median)]
    return "log" if known and 0.0 < min(known) < max(known) / _THREE_DECADES else "linear"
