"""The quickstart in one picture: the schedule, accuracy during training, and accuracy on the test set."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lightning_abkd.diagnostics import read_metrics

# Okabe & Ito 2008, distinguishable with colour blindness too; dashes and markers tell the lines apart in grey.
LOOKS = (
    ("#000000", "-", "o"),
    ("#0072B2", "--", "s"),
    ("#D55E00", "-.", "^"),
    ("#009E73", ":", "D"),
    ("#CC79A7", "-", "v"),
)

# The metrics of each seed, by the name of a method.
Runs = Mapping[str, Sequence[Mapping[str, Sequence[float]]]]


def draw_summary(
    logs: Mapping[str, Sequence[Path]], tested: Mapping[str, Sequence[float]], output: Path, title: str = ""
) -> Path:
    """Draw the schedule, the accuracy on the validation set over epochs, and that on the test set.

    Args:
        logs: Paths of metrics.csv files, one per seed, by the method's name; the last method has a schedule.
        tested: Accuracy on the test set, one per seed, by the method's name.
        output: Picture to write.
        title: What was trained: data, temperature, batch size.

    Returns:
        The path of the picture.
    """
    runs = {name: [read_metrics(path) for path in paths] for name, paths in logs.items()}
    figure = Figure(figsize=(9, 4.4), layout="constrained")
    schedule, training, test = figure.subplots(1, 3, width_ratios=(0.8, 1.3, 1.2))
    _draw_schedule(schedule, runs)
    _draw_training(training, runs)
    _draw_test(test, tested)
    for axis in (schedule, training, test):
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(11)
    figure.suptitle("\n".join([f"lightning_abkd: {title}" if title else "lightning_abkd", _explained(tested)]))
    figure.savefig(output, dpi=150)
    return output


def _explained(tested: Mapping[str, Sequence[float]]) -> str:
    seeds = max(map(len, tested.values()))
    return f"lines: median of {seeds} seeds; hollow: each seed; bars: median" if seeds > 1 else "one seed"


def _draw_schedule(axis: Axes, runs: Runs) -> None:
    """Draw α and β of the method with a schedule."""
    scheduled = runs[list(runs)[-1]][0]
    for name, symbol, style in (("train/alpha", "α", "-"), ("train/beta", "β", "--")):
        values = scheduled[name]
        epochs = range(1, len(values) + 1)
        axis.plot(epochs, values, style, color=LOOKS[-1][0], linewidth=2)
        axis.annotate(symbol, (epochs[0], values[0]), (0, -14 if symbol == "α" else 6), textcoords="offset points")
    axis.set_title("the schedule")
    axis.set_ylabel("α, β")
    axis.set_xlabel("epoch")


def _draw_training(axis: Axes, runs: Runs) -> None:
    """Draw the median over seeds of each method; markers of different methods are at different epochs."""
    for number, ((colour, dashes, marker), measured) in enumerate(zip(LOOKS, runs.values(), strict=True)):
        columns = list(zip(*(run["val/accuracy"] for run in measured), strict=True))
        axis.plot(
            range(1, len(columns) + 1),
            [statistics.median(column) for column in columns],
            linestyle=dashes,
            marker=marker,
            markevery=(number % len(columns), len(LOOKS)),
            color=colour,
            linewidth=1.6,
            markersize=5,
        )
    axis.set_title("validation accuracy")
    axis.set_ylabel("share of the validation set")
    axis.set_xlabel("epoch")


def _draw_test(axis: Axes, tested: Mapping[str, Sequence[float]]) -> None:
    """Draw each seed and the median of each method; names and markers are the legend of the whole picture."""
    for place, ((colour, _, marker), values) in enumerate(zip(LOOKS, tested.values(), strict=True)):
        # Seeds below each other, so that none hides another.
        heights = [place + 0.1 * (number - (len(values) - 1) / 2) for number in range(len(values))]
        axis.plot(values, heights, marker, color=colour, markerfacecolor="none", markersize=6)
        median = statistics.median(values)
        axis.plot(median, place, "|", color=colour, markersize=26, markeredgewidth=2.5)
        axis.annotate(f"{median:.3f}", (median, place), (0, 14), textcoords="offset points", ha="center", fontsize=9)
    axis.set_yticks(range(len(tested)), list(tested))
    for (colour, _, _), name in zip(LOOKS, axis.get_yticklabels(), strict=True):
        name.set_color(colour)
    axis.set_ylim(len(tested) - 0.5, -0.7)
    axis.set_title("test accuracy")
    axis.set_xlabel("share of the test set")
