"""A measurement over the plane of α and β."""

import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_abkd.diagnostics._curves import _pyplot

_INCH = 1.1
_THREE_DECADES = 1000.0

Plane = Mapping[tuple[float, float], Sequence[float]]


def mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Compute mean and standard deviation of the values that are numbers; the deviation of one value is 0.

    Args:
        values: Values, NaN where there is none.

    Example:
        >>> mean_and_deviation([1.0, 3.0, float("nan")])
        (2.0, 1.4142135623730951)
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return math.nan, 0.0
    return statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else 0.0


def plot_alpha_beta_plane(values: Plane, output: str | Path, label: str = "accuracy") -> Path:
    """Draw a heat map over α and β: in each cell the mean over its seeds, with its standard deviation.

    Args:
        values: One value for each seed by (α, β), not necessarily of a whole grid; NaN for a training that diverged.
        output: Picture to write, its format by its suffix.
        label: What is measured.

    Returns:
        The path of the picture.

    Raises:
        ValueError: If there are no values.
        ModuleNotFoundError: If matplotlib is missing.
    """
    if not values:
        raise ValueError("Parameter `values` should have at least one point (α, β). Found none.")
    seeds = max(len(runs) for runs in values.values())
    title = f"{label}, mean ± sd over {seeds} seeds" if seeds > 1 else f"{label}, one seed"
    return draw_planes({title: values}, output)


def draw_planes(panels: Mapping[str, Plane], output: str | Path) -> Path:
    """Draw heat maps over α and β side by side, each as `plot_alpha_beta_plane` does, by their titles.

    Values that are positive and spread over more than three decades are coloured by their logarithm.
    """
    pyplot, planes = _pyplot(), list(panels.values())
    sizes = [[len({point[axis] for point in values}) for axis in (0, 1)] for values in planes]
    size = sum(_INCH * columns + 2.6 for columns, _ in sizes), 0.7 * _INCH * max(rows for _, rows in sizes) + 1.6
    figure, axes = pyplot.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for axis, (title, values) in zip(axes[0], panels.items(), strict=True):
        alphas, betas = (sorted({point[i] for point in values}) for i in (0, 1))
        cells = {point: mean_and_deviation(seeds) for point, seeds in values.items()}
        grid = [[cells.get((alpha, beta), (math.nan, 0.0))[0] for alpha in alphas] for beta in betas]
        # cividis looks the same with and without colour vision
        image = axis.imshow(grid, cmap="cividis", norm=_scale(cells), origin="lower", aspect="auto")
        for (alpha, beta), (mean, deviation) in cells.items():
            several = len(values[alpha, beta]) > 1
            text = f"{mean:#.4g}" + (f"\n± {deviation:#.2g}" if several else "")
            text = text if math.isfinite(mean) else "diverged" if math.isnan(mean) else "∞"
            place, dark = (alphas.index(alpha), betas.index(beta)), math.isfinite(mean) and image.norm(mean) < 0.5
            axis.text(*place, text, ha="center", va="center", fontsize=9, color="white" if dark else "black")
        axis.set_xticks(range(len(alphas)), [f"{alpha:.3g}" for alpha in alphas])
        axis.set_yticks(range(len(betas)), [f"{beta:.3g}" for beta in betas])
        axis.set_xlabel("α")
        axis.set_ylabel("β")
        axis.spines[:].set_visible(False)
        axis.set_title(title, fontsize=11)
        figure.colorbar(image, ax=axis)
    output = Path(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(output, dpi=130)
    pyplot.close(figure)
    return output


def _scale(cells: Mapping[tuple[float, float], tuple[float, float]]) -> str:
    known = [mean for mean, _ in cells.values() if math.isfinite(mean)]
    return "log" if known and 0.0 < min(known) < max(known) / _THREE_DECADES else "linear"
