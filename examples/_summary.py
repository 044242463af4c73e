"""The quickstart in one picture: the schedule, accuracy during training, and accuracy on the test set."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_abkd.diagnostics import read_metrics

# Okabe & Ito 2008, distinguishable with colour blindness too; the same as in the curves.
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7")

# The metrics of each seed, by the name of a method.
Runs = Mapping[str, Sequence[Mapping[str, Sequence[float]]]]


def draw_summary(logs: Mapping[str, Sequence[Path]], tested: Mapping[str, Sequence[float]], output: Path) -> Path:
    """Draw the schedule, the accuracy on the validation set over epochs, and that on the test set.

    Args:
        logs: Paths of metrics.csv files, one per seed, by the method's name; the last method has a schedule.
        tested: Accuracy on the test set, one per seed, by the method's name.
        output: Picture to write.

    Returns:
        The path of the picture.
    """
    runs = {name: [read_metrics(path) for path in paths] for name, paths in logs.items()}
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    schedule, training, test = figure.subplots(1, 3, width_ratios=(1, 1.3, 1.1))
    _draw_schedule(schedule, runs)
    _draw_training(training, runs)
    _draw_test(test, tested)
    for axis in (schedule, training, test):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(11)
    figure.savefig(output, dpi=150)
    return output


def _draw_schedule(axis: Axes, runs: Runs) -> None:
    """Draw α and β of the method with a schedule."""
    scheduled = runs[list(runs)[-1]][0]
    for name, symbol, style in (("train/alpha", "α", "-"), ("train/beta", "β", "--")):
        values = scheduled[name]
        epochs = range(1, len(values) + 1)
        axis.plot(epochs, values, style, color=COLOURS[-1], linewidth=2)
        axis.annotate(symbol, (epochs[0], values[0]), (0, -14 if symbol == "α" else 6), textcoords="offset points")
    axis.set_title("α and β scheduled")
    axis.set_xlabel("epoch")


def _draw_training(axis: Axes, runs: Runs) -> None:
    """Draw the mean over seeds of each method, shaded from the lowest to the highest."""
    for colour, measured in zip(COLOURS, runs.values(), strict=True):
        columns = list(zip(*(run["val/accuracy"] for run in measured), strict=True))
        epochs = range(1, len(columns) + 1)
        axis.plot(epochs, [statistics.fmean(column) for column in columns], color=colour, linewidth=1.6)
        lowest = [min(column) for column in columns]
        highest = [max(column) for column in columns]
        axis.fill_between(epochs, lowest, highest, color=colour, alpha=0.1, linewidth=0)
    axis.set_title("validation accuracy")
    axis.set_xlabel("epoch")


def _draw_test(axis: Axes, tested: Mapping[str, Sequence[float]]) -> None:
    """Draw each seed and the mean of each method; the names are the legend of the whole picture."""
    for place, (colour, values) in enumerate(zip(COLOURS, tested.values(), strict=True)):
        axis.plot(values, [place] * len(values), "o", color=colour, alpha=0.3, markersize=6, markeredgewidth=0)
        axis.plot(statistics.fmean(values), place, "|", color=colour, markersize=20, markeredgewidth=2.5)
    axis.set_yticks(range(len(tested)), list(tested))
    for colour, name in zip(COLOURS, axis.get_yticklabels(), strict=True):
        name.set_color(colour)
    axis.set_ylim(len(tested) - 0.5, -0.5)
    axis.set_title("test accuracy")
    axis.set_xlabel("each seed, and the mean")
