"""A measurement at any points: one row per point, one marker per seed."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lightning_abkd._utils import check_choice, three_digits
from lightning_abkd.diagnostics._figure import Figure, Panel

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
    ranked = _ranked(values, mode)
    best = best or (ranked[0] if _known(values[ranked[0]]) else None)
    shown = [name for name in values if name in set(ranked[:_MOST_ROWS])]
    figure = Figure(1, 1, (_WIDTH, _ROW_HEIGHT * len(shown) + _MARGIN_HEIGHT))
    _draw_rows(figure.panels[0], {name: values[name] for name in shown}, best)
    figure.panels[0].axes.set_xlabel(label)
    seeds = max(map(len, values.values()))
    parts = [f"○ each of {seeds} seeds, | median" if seeds > 1 else "one seed", "★ best"]
    parts += [f"the best {_MOST_ROWS} of {len(values)} points"] if len(values) > _MOST_ROWS else []
    figure.page.suptitle("\n".join([f"lightning_abkd: {title}" if title else "lightning_abkd", ", ".join(parts)]))
    return figure.save(output)


def _known(values: Sequence[float]) -> list[float]:
    """Return the values of the seeds that did not diverge."""
    return [value for value in values if not math.isnan(value)]


def _ranked(values: Mapping[str, Sequence[float]], mode: str) -> list[str]:
    """Return the names from the best median to the worst; behind them those with seeds that diverged."""
    sign = -1.0 if mode == "max" else 1.0

    def rank(name: str) -> tuple[bool, bool, float]:
        known = _known(values[name])
        return not known, len(known) < len(values[name]), sign * statistics.median(known) if known else 0.0

    return sorted(values, key=rank)


def _draw_rows(panel: Panel, values: Mapping[str, Sequence[float]], best: str | None) -> None:
    """Draw the rows from the top, each with its median written beside it."""
    for row, (name, seeds) in enumerate(values.items()):
        known = _known(seeds)
        if len(seeds) > 1:
            panel.axes.plot(known, [row] * len(known), "o", markerfacecolor="none", color="#555555", markersize=6)
        if known:
            marker = "*" if name == best else "|"
            size = 15 if name == best else 16
            panel.axes.plot(statistics.median(known), row, marker, color="black", markersize=size, markeredgewidth=2)
        panel.axes.annotate(_remark(seeds), (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    panel.axes.set_yticks(range(len(values)), list(values))
    panel.axes.set_ylim(len(values) - 0.5, -0.5)
    panel.axes.grid(alpha=0.25)
    panel.axes.spines[["top", "right"]].set_visible(False)


def _remark(seeds: Sequence[float]) -> str:
    """Return the median, and how many seeds diverged."""
    known = _known(seeds)
    lost = len(seeds) - len(known)
    parts = [three_digits(statistics.median(known))] if known else []
    return ", ".join(parts + ([f"{lost} diverged"] if lost else []))
