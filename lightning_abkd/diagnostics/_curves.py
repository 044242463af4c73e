"""Curves of runs over epochs, from the CSV logs of Lightning."""

import csv
import itertools
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lightning_abkd.diagnostics._figure import Figure, Panel

# Okabe & Ito 2008: distinguishable with colour blindness too. From the eighth method on, lines are dashed.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_DASHES = ("-", "--", ":")
_COLUMNS = 2
_WIDTH = 10.0
_PANELS = {
    "train/alpha": "α (of the schedule)",
    "train/beta": "β (of the schedule)",
    "train/loss": "training loss of each objective",
    "val/task_loss": "validation cross-entropy (nats)",
    "val/accuracy": "validation accuracy",
    "val/agreement": "agreement with the teacher",
}

Curve = Sequence[float]


def read_metrics(path: str | Path) -> dict[str, list[float]]:
    r"""Read a metrics.csv of Lightning's CSVLogger into the mean of each metric per epoch.

    Args:
        path: The file.

    Returns:
        Values in the order of epochs by the metric's name; epochs without a value are left out.

    Raises:
        FileNotFoundError: If there is no such file.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     path = Path(folder, "metrics.csv")
        ...     _ = path.write_text("epoch,step,train/loss\n0,0,2.0\n0,1,1.0\n1,2,0.5\n")
        ...     read_metrics(path)
        {'train/loss': [1.5, 0.5]}
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Parameter `path` should be the metrics.csv of a run. Found no file at {path}.")
    values: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                if value and name not in ("epoch", "step"):
                    values[name][int(row["epoch"])].append(float(value))
    return {name: [statistics.fmean(epochs[i]) for i in sorted(epochs)] for name, epochs in values.items()}


def plot_curves(
    runs: Mapping[str, Sequence[str | Path]], output: str | Path, panels: Mapping[str, str] | None = None
) -> Path:
    r"""Draw α, β, losses and accuracies over epochs: for each method the mean over its runs and their range.

    Args:
        runs: Paths of metrics.csv files, one per seed, by the method's name.
        output: Picture to write; its suffix is the format.
        panels: Title of a panel by the metric that it shows; None shows what a classifier logs.

    Returns:
        The path of the picture.

    Raises:
        ValueError: If there are no runs.
        FileNotFoundError: If a file of metrics is missing.
        ModuleNotFoundError: If matplotlib is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     log = Path(folder, "metrics.csv")
        ...     _ = log.write_text("epoch,step,val/accuracy\n0,1,0.5\n1,2,0.7\n")
        ...     picture = plot_curves({"forward KL": [log]}, Path(folder, "curves.svg"))
        ...     picture.read_text().startswith("<?xml")
        True
    """
    if not runs:
        raise ValueError("Parameter `runs` should have at least one method. Found none.")
    panels = panels or _PANELS
    rows = -(-len(panels) // _COLUMNS)
    figure = Figure(rows, _COLUMNS, size=(_WIDTH, _WIDTH / 3 * rows), share_x=True)
    metrics = {method: [read_metrics(path) for path in paths] for method, paths in runs.items()}
    for panel, (metric, title) in zip(figure.panels, panels.items(), strict=False):
        _draw_curves(panel, {method: _curves_of(metric, measured) for method, measured in metrics.items()})
        _dress(panel, title)
    _label_epochs(figure.panels[: len(panels)])
    for panel in figure.panels[len(panels) :]:
        panel.axes.set_visible(False)
    _draw_legend(figure, runs)
    figure.page.suptitle(_title(max(len(paths) for paths in runs.values())))
    return figure.save(output)


def _curves_of(metric: str, measured: Iterable[Mapping[str, Curve]]) -> list[Curve]:
    """Return the values of a metric in every run that has it."""
    return [values[metric] for values in measured if metric in values]


def _title(seeds: int) -> str:
    return f"Mean over {seeds} seeds, shaded from the lowest to the highest" if seeds > 1 else "One seed"


def _draw_curves(panel: Panel, curves: Mapping[str, Sequence[Curve]]) -> None:
    """Draw the curves of every method's seeds, as one line and the range around it."""
    means: list[float] = []
    for (method, seeds), (dashes, colour) in zip(curves.items(), itertools.product(_DASHES, _COLOURS), strict=False):
        if seeds:
            means += _draw_mean_and_range(panel, seeds, method, colour, dashes)
    if _spans_decades(means):
        panel.axes.set_yscale("log")


def _draw_mean_and_range(panel: Panel, seeds: Sequence[Curve], method: str, colour: str, dashes: str) -> list[float]:
    """Draw the curves of one method over the epochs that all its seeds have; return their mean."""
    epochs = list(zip(*seeds, strict=False))
    numbers = range(1, len(epochs) + 1)
    mean = [statistics.fmean(values) for values in epochs]
    panel.axes.plot(numbers, mean, color=colour, linestyle=dashes, label=method, linewidth=1.6)
    low = [min(values) for values in epochs]
    high = [max(values) for values in epochs]
    panel.axes.fill_between(numbers, low, high, color=colour, alpha=0.12, linewidth=0)
    return mean


def _dress(panel: Panel, title: str) -> None:
    panel.set_title(title)
    panel.axes.xaxis.get_major_locator().set_params(integer=True)
    panel.axes.grid(alpha=0.25)
    panel.axes.spines[["top", "right"]].set_visible(False)


def _label_epochs(panels: Sequence[Panel]) -> None:
    """Label the x-axis of the lowest panel of each column; the others share it."""
    for panel in panels[-_COLUMNS:]:
        panel.axes.tick_params(labelbottom=True)
        panel.axes.set_xlabel("epoch")


def _draw_legend(figure: Figure, methods: Iterable[str]) -> None:
    """Draw one legend for all panels below them, in the order of the methods."""
    lines = {line.get_label(): line for panel in figure.panels for line in panel.axes.lines}
    drawn = [method for method in methods if method in lines]
    figure.page.legend([lines[method] for method in drawn], drawn, loc="outside lower center", ncols=3, frameon=False)


def _spans_decades(values: Sequence[float]) -> bool:
    """Return True if some values are so far above others that only a logarithmic axis shows them all."""
    # The floor of 1 excludes numbers that grow from near 0, as β does.
    return bool(values) and min(values) > 0 and max(values) > 1000 * max(min(values), 1.0)
