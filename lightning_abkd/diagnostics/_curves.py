"""Curves of runs over epochs, from the CSV logs of Lightning."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lightning_abkd.diagnostics._figure import Figure, Panel
from lightning_abkd.diagnostics._lines import Look, hidden, looks, medians

_COLUMNS = 2
_WIDTH = 10.0
_PANELS = {
    "train/alpha": "α (of the schedule)",
    "train/beta": "β (of the schedule)",
    "train/loss": "training loss of each objective",
    "val/task_loss": "validation cross-entropy",
    "val/accuracy": "validation accuracy",
    "val/agreement": "agreement with the teacher",
}
# What the y-axis of a panel counts, by the last part of a metric's name.
_UNITS = {
    "alpha": "α",
    "beta": "β",
    "loss": "loss",
    "task_loss": "nats per position",
    "divergence": "nats per position",
    "accuracy": "share of positions",
    "agreement": "share of positions",
    "perplexity": "perplexity per token",
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
    runs: Mapping[str, Sequence[str | Path]],
    output: str | Path,
    panels: Mapping[str, str] | None = None,
    title: str = "",
) -> Path:
    r"""Draw α, β, losses and accuracies over epochs: for each method the median of its seeds, and each of them.

    Lines differ in dashes and markers as well as in colour, and lines that hide each other are listed in their panel.

    Args:
        runs: Paths of metrics.csv files, one per seed, by the method's name.
        output: Picture to write; its suffix is the format.
        panels: Title of a panel by the metric that it shows; None shows what a classifier logs.
        title: What was trained: data, temperature, batch size.

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
    for panel, (metric, heading) in zip(figure.panels, panels.items(), strict=False):
        _draw_curves(panel, {method: _curves_of(metric, measured) for method, measured in metrics.items()})
        _dress(panel, heading, metric)
    _label_epochs(figure.panels[: len(panels)])
    for panel in figure.panels[len(panels) :]:
        panel.axes.set_visible(False)
    _draw_legend(figure, runs)
    figure.page.suptitle(_title(title, max(len(paths) for paths in runs.values())))
    return figure.save(output)


def _curves_of(metric: str, measured: Iterable[Mapping[str, Curve]]) -> list[Curve]:
    """Return the values of a metric in every run that has it."""
    return [values[metric] for values in measured if metric in values]


def _title(subject: str, seeds: int) -> str:
    lines = f"thick: median of {seeds} seeds, thin: each seed" if seeds > 1 else "one seed"
    return "\n".join(part for part in (f"lightning_abkd: {subject}" if subject else "", lines) if part)


def _draw_curves(panel: Panel, curves: Mapping[str, Sequence[Curve]]) -> None:
    """Draw the curves of every method's seeds, and list the lines that hide each other."""
    styles = looks(list(curves))
    lines = {method: medians(seeds) for method, seeds in curves.items() if seeds}
    for method, line in lines.items():
        _draw_method(panel, curves[method], line, method, styles[method])
    if _spans_decades([value for line in lines.values() for value in line]):
        panel.axes.set_yscale("log")
    panel.note("\n".join(f"same line: {', '.join(group)}" for group in hidden(lines)))


def _draw_method(panel: Panel, seeds: Sequence[Curve], line: Curve, method: str, look: Look) -> None:
    """Draw the median over the epochs that all seeds have, and every seed if there are several."""
    for seed in seeds if len(seeds) > 1 else ():
        panel.axes.plot(range(1, len(seed) + 1), seed, color=look.colour, linewidth=0.7, alpha=0.35)
    panel.axes.plot(
        range(1, len(line) + 1),
        line,
        color=look.colour,
        linestyle=look.dashes,
        marker=look.marker,
        markevery=look.places(len(line)),
        markersize=5,
        label=method,
        linewidth=1.8,
    )


def _dress(panel: Panel, heading: str, metric: str) -> None:
    name = metric.rpartition("/")[2]
    panel.set_title(heading)
    panel.axes.set_ylabel(_UNITS.get(name, name))
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
