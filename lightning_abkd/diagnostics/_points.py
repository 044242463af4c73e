"""A measurement at any points: one row per point, one marker per seed."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lightning_abkd._utils import check_choice, three_digits
from lightning_abkd.diagnostics._figure import Figure, Panel
from lightning_abkd.diagnostics._seeds import ranked, summarize_seeds

_WIDTH = 8.0
_ROW_HEIGHT = 0.36
_MARGIN_HEIGHT = 1.5
_MOST_ROWS = 40


def plot_points(
    values: Mapping[str, Sequence[float]],
    output: str | Path,
    label: str = "accuracy",
    mode: Literal["max", "min"] = "max",
    best: str | None = None,
    title: str = "",
) -> Path:
    """Draw one row per point: a circle for each seed, a bar at their median, and a star for the best point.

    Args:
        values: One value per seed by the point's name; NaN for a training that diverged.
        output: Picture to write; its suffix is the format.
        label: What is measured.
        mode: Whether the best value is the largest ("max") or the smallest ("min").
        best: Point to mark; None marks that with the best median.
        title: What was trained: data, temperature, batch size.

    Returns:
        The path of the picture. It shows the best 40 points where there are more.

    Raises:
        ValueError: If there are no values, or the mode is another word.
        ModuleNotFoundError: If matplotlib is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> accuracies = {"ForwardKL": [0.71, 0.73], "JensenShannon": [0.74, float("nan")]}
        >>> with TemporaryDirectory() as folder:
        ...     plot_points(accuracies, Path(folder, "points.svg")).read_text().startswith("<?xml")
        True
    """
    if not values:
        raise ValueError("Parameter `values` should have at least one point. Found none.")
    check_choice("mode", mode, ("max", "min"))
    order = ranked(values, mode)
    best = best or next(iter(order), None)
    # Points of which all seeds diverged come last.
    kept = list(dict.fromkeys([*order, *values]))[:_MOST_ROWS]
    shown = [name for name in values if name in kept]
    figure = Figure(1, 1, (_WIDTH, _ROW_HEIGHT * len(shown) + _MARGIN_HEIGHT))
    _draw_rows(figure.panels[0], {name: values[name] for name in shown}, best)
    figure.panels[0].axes.set_xlabel(label)
    seeds = max(map(len, values.values()))
    parts = [f"○ each of {seeds} seeds, | median" if seeds > 1 else "one seed", "★ best"]
    parts += [f"the best {_MOST_ROWS} of {len(values)} points"] if len(values) > _MOST_ROWS else []
    figure.page.suptitle("\n".join([f"lightning_abkd: {title}" if title else "lightning_abkd", ", ".join(parts)]))
    return figure.save(output)


def _draw_rows(panel: Panel, values: Mapping[str, Sequence[float]], best: str | None) -> None:
    """Draw the rows from the top, each with its median written beside it."""
    for row, (name, seeds) in enumerate(values.items()):
        median = summarize_seeds(seeds).median
        if len(seeds) > 1:
            known = [value for value in seeds if not math.isnan(value)]
            panel.axes.plot(known, [row] * len(known), "o", markerfacecolor="none", color="#555555", markersize=6)
        if not math.isnan(median):
            marker = "*" if name == best else "|"
            size = 15 if name == best else 16
            panel.axes.plot(median, row, marker, color="black", markersize=size, markeredgewidth=2)
        panel.axes.annotate(_remark(seeds), (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    panel.axes.set_yticks(range(len(values)), list(values))
    panel.axes.set_ylim(len(values) - 0.5, -0.5)
    panel.axes.grid(alpha=0.25)
    panel.axes.spines[["top", "right"]].set_visible(False)


def _remark(seeds: Sequence[float]) -> str:
    """Return the median, and how many seeds diverged."""
    measured = summarize_seeds(seeds)
    median = "" if math.isnan(measured.median) else three_digits(measured.median)
    diverged = f"{measured.diverged} diverged" if measured.diverged else ""
    return ", ".join(part for part in (median, diverged) if part)
