"""What a sweep shows: the table of all points, the best one, and a picture."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from lightning.pytorch.utilities import rank_zero_only

from lightning_abkd._utils import write_whole
from lightning_abkd.cli._sweep_grid import Grid, shown
from lightning_abkd.cli._sweep_results import Results, Values, spread
from lightning_abkd.diagnostics import plot_alpha_beta_plane, plot_points

_LONGEST_CELL = 60


@rank_zero_only
def report(results: Results, grid: Grid, failures: Mapping[str, str]) -> None:
    """Write the table and the picture of all results of a folder, and say which points failed."""
    values = results.values()
    lines = (
        [f"{len(failures)} failed, see error.txt in their folders; the same command tries again:"] if failures else []
    )
    lines += [f"  {label}: {cause}" for label, cause in failures.items()]
    if values:
        rows = _table(results.metric, grid, values)
        with write_whole(results.folder / "table.md") as part:
            part.write_text("\n".join(rows) + "\n")
        picture = _draw(results, grid, values)
        lines = [*rows, *_best(results, grid, values), f"In {results.folder}: table.md, {picture.name}", *lines]
    sys.stdout.write("\n".join(lines) + "\n")


def _table(metric: str, grid: Grid, values: Values) -> list[str]:
    """Lay out one row per point: mean ± standard deviation over the seeds that did not diverge."""
    head = [*grid.names, metric, "seeds", "diverged"]
    rows = [_row(point, values[point]) for point in sorted(values, key=_order)]
    return [_line(head), "|" + "---|" * len(head), *map(_line, rows)]


def _row(point: Sequence[str], values: Sequence[float]) -> list[str]:
    mean, deviation = spread(values)
    diverged = sum(map(math.isnan, values))
    measured = "" if math.isnan(mean) else f"{mean:.4f} ± {deviation:.4f}"
    return [*map(_cell, point), measured, str(len(values)), str(diverged)]


def _cell(value: str) -> str:
    text = shown(value).replace("|", "\\|")
    return text if len(text) <= _LONGEST_CELL else f"{text[: _LONGEST_CELL - 1]}…"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _order(point: Sequence[str]) -> list[tuple[float, str]]:
    """Return a key that sorts numbers by their size and text by the alphabet."""
    return [(_number(value), value) for value in point]


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return math.inf


def _best(results: Results, grid: Grid, values: Values) -> list[str]:
    """Say which point is the best, and how many are as good within its standard deviation."""
    best = results.best(values)
    if best is None:
        return ["Every training diverged."]
    mean, deviation = spread(values[best])
    where = ", ".join(grid.described(best)) or "all seeds"
    which = "lowest" if results.is_smaller_better else "highest"
    others = [spread(seeds).mean for point, seeds in values.items() if point != best]
    near = sum(abs(other - mean) <= deviation for other in others)
    tie = f" Within one standard deviation of it: {near} other{'s' if near > 1 else ''}." if near else ""
    measured = f"{mean:.4f} ± {deviation:.4f}" if len(values[best]) > 1 else f"{mean:.4f}"
    return [f"Best ({which} {results.metric}): {where}, with {measured}.{tie}"]


def _draw(results: Results, grid: Grid, values: Values) -> Path:
    """Draw a map of α and β, or else one row per point, and mark the best."""
    mode: Literal["min", "max"] = "min" if results.is_smaller_better else "max"
    best = results.best(values)
    subject = _subject(results.folder, grid.names)
    if grid.is_plane:
        plane = {_numbers(point): seeds for point, seeds in values.items()}
        marked = _numbers(best) if best else None
        return plot_alpha_beta_plane(plane, results.folder / "plane.png", results.metric, mode, marked, subject)
    names = {point: ", ".join(map(_cell, grid.described(point))) or "all seeds" for point in sorted(values, key=_order)}
    rows = {name: values[point] for point, name in names.items()}
    star = None if best is None else names[best]
    return plot_points(rows, results.folder / "points.png", results.metric, mode, star, subject)


def _numbers(point: Sequence[str]) -> tuple[float, float]:
    alpha, beta = map(float, point)
    return alpha, beta


def _subject(folder: Path, swept: Sequence[str]) -> str:
    """Describe what all points have in common: data, temperature and batch size, from the config of one of them."""
    saved = next(iter(sorted(folder.glob("*/seed_*/config.yaml"))), None)
    text = saved.read_text() if saved else ""
    patterns = {
        "data": (r"^data:\n +class_path: [\w.]*?(\w+)$", ""),
        "temperature": (r"^ +temperature: ([\d.]+)$", "T = "),
        "batch_size": (r"^ +batch_size: (\d+)$", "batch "),
    }
    found = {name: re.search(pattern, text, re.MULTILINE) for name, (pattern, _) in patterns.items()}
    return ", ".join(
        f"{patterns[name][1]}{shown(match[1])}" for name, match in found.items() if match and name not in swept
    )
