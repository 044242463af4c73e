"""Curves of runs over epochs, from the CSV logs of Lightning."""

import csv
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol

# Okabe & Ito 2008: told apart also without colour vision.
_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_PANELS = {
    "train/alpha": "α (of the schedule)",
    "train/beta": "β (of the schedule)",
    "train/loss": "training loss of each objective",
    "val/task_loss": "validation cross-entropy (nats)",
    "val/accuracy": "validation accuracy",
    "val/agreement": "agreement with the teacher",
}


class _Line(Protocol):
    def get_ydata(self) -> Sequence[float]: ...


def read_metrics(path: str | Path) -> dict[str, list[float]]:
    """Read a metrics.csv of Lightning's CSVLogger into the mean of each metric per epoch.

    Args:
        path: The file.

    Returns:
        Values in the order of epochs by the metric's name; epochs without a value are left out.

    Raises:
        FileNotFoundError: If there is no such file.
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
    """Draw α, β, losses and accuracies over epochs: for each method the mean over its runs and their range.

    Args:
        runs: Paths of metrics.csv files, one per seed, by the method's name.
        output: Picture to write, its format by its suffix.
        panels: Title of a panel by the metric that it shows; None shows what a classifier logs.

    Returns:
        The path of the picture.

    Raises:
        FileNotFoundError: If a file of metrics is missing.
        ModuleNotFoundError: If matplotlib is missing.
    """
    pyplot = _pyplot()
    metrics = {name: [read_metrics(path) for path in paths] for name, paths in runs.items()}
    panels = panels or _PANELS
    lines = (len(panels) + 1) // 2
    figure, axes = pyplot.subplots(
        lines, 2, figsize=(10, 10 / 3 * lines), sharex=True, layout="constrained", squeeze=False
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for axis, (metric, label) in zip(axes.flat, panels.items(), strict=False):
        for colour, (name, measured) in zip(_COLOURS, metrics.items(), strict=False):
            curves = [values[metric] for values in measured if metric in values]
            if curves:
                columns = list(zip(*curves, strict=False))
                epochs = range(1, len(columns) + 1)
                mean = [statistics.fmean(column) for column in columns]
                axis.plot(epochs, mean, color=colour, label=name, linewidth=1.6)
                low, high = [min(c) for c in columns], [max(c) for c in columns]
                axis.fill_between(epochs, low, high, color=colour, alpha=0.12, linewidth=0)
        if _spans_decades(axis.lines):
            axis.set_yscale("log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set_title(label, fontsize=11)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    named = {name: line for axis in axes.flat for line, name in zip(*axis.get_legend_handles_labels(), strict=True)}
    named = {name: named[name] for name in runs if name in named}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=3, frameon=False)
    seeds = max(len(paths) for paths in runs.values())
    figure.suptitle(f"Mean over {seeds} seeds, shaded from the lowest to the highest" if seeds > 1 else "One seed")
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=130)
    pyplot.close(figure)
    return output


def _spans_decades(lines: Iterable[_Line]) -> bool:
    """Tell whether curves are so far above others that only a logarithmic axis shows them all."""
    values = [float(value) for line in lines for value in line.get_ydata()]
    # Numbers that grow from near 0, as β does, are not meant.
    return bool(values) and min(values) > 0 and max(values) > 1000 * max(min(values), 1.0)


def _pyplot() -> ModuleType:
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("Plots need matplotlib: pip install 'lightning-abkd[quickstart]'.") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot
