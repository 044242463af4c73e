"""The command `abkd sweep`: a training repeated over α, β and seeds."""

import argparse
import itertools
import json
import math
import shutil
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lightning.pytorch.utilities import rank_zero_info

from lightning_abkd._utils import digest, write_whole
from lightning_abkd.diagnostics import plot_alpha_beta_plane

Train = Callable[[list[str]], Mapping[str, float] | None]
_QUIET = ("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")


class _Point(NamedTuple):
    """The numbers by which one training of a sweep differs from the others."""

    alpha: float
    beta: float
    seed: int


class _Results:
    """The folder of a sweep: a result for every point, of one set of configs and options."""

    def __init__(self, folder: Path, settings: str, metric: str) -> None:
        self.folder = folder
        self.settings = settings
        self.metric = metric

    def place(self, point: _Point) -> Path:
        """Return the folder of a point."""
        return self.folder / f"alpha_{point.alpha:g}_beta_{point.beta:g}" / f"seed_{point.seed}"

    def file(self, point: _Point) -> Path:
        """Return the file of a point's result."""
        return self.place(point) / "result.json"

    def write(self, point: _Point, metrics: Mapping[str, float] | None) -> None:
        """Write the result of a point."""
        result = {**point._asdict(), "settings": self.settings, "metrics": metrics}
        with write_whole(self.file(point)) as part:
            part.write_text(json.dumps(result, indent=1))

    def read(self, path: Path) -> tuple[_Point, float]:
        """Read the metric of a point from its file, NaN where the training diverged.

        Raises:
            ValueError: If the result is of other configs or options, or the metric was not measured.
        """
        result = json.loads(path.read_text())
        if result["settings"] != self.settings:
            raise ValueError(
                "Parameter `folder` should hold results of the same configs and options, or none. "
                f"Found others in `folder = {str(self.folder)!r}`. Choose another folder, or delete this one."
            )
        metrics = result["metrics"]
        if metrics is not None and self.metric not in metrics:
            listed = ", ".join(sorted(metrics))
            raise ValueError(f"Parameter `metric` should be one of {listed}. Found {self.metric!r}.")
        value = math.nan if metrics is None else float(metrics[self.metric])
        return _Point(result["alpha"], result["beta"], result["seed"]), value

    def values(self) -> dict[tuple[float, float], list[float]]:
        """Read the results of all points, also of earlier commands: one value per seed by (α, β)."""
        values: dict[tuple[float, float], list[float]] = defaultdict(list)
        for path in sorted(self.folder.glob("alpha_*/seed_*/result.json")):
            point, value = self.read(path)
            values[point.alpha, point.beta].append(value)
        return values


def sweep(arguments: list[str], train: Train) -> Path:
    """Train once for each (α, β) and seed, and collect the results in a table and a heat map.

    The command `abkd sweep`::

        abkd sweep --config mine.yaml --alpha 0.5 0.8 1 --beta 0 0.3 --seeds 0 1 2 --folder runs/sweep

    Every other option is one of `abkd fit`, such as `--trainer.max_epochs 5`. Trainings run one after the other, on one
    device, and write no checkpoints. What a training measured at its end is in `alpha_…_beta_…/seed_…/result.json`
    below the folder, beside its CSV log and its config; `table.md` and `plane.png` collect all results there. The same
    command resumes a sweep that was stopped: a point that has a result is not trained again, and one that was killed
    starts afresh. Choose α and β by a metric of the validation set, not of the test set.

    Args:
        arguments: Command line after `abkd sweep`; `--help` lists the options.
        train: Function that trains with a command line of `abkd fit` and returns what was measured, or None if the loss
            became NaN.

    Returns:
        The folder of the results.

    Raises:
        ValueError: If the folder holds results of other configs or options, or the metric is not measured.
        FileNotFoundError: If a config is missing.
        ModuleNotFoundError: If matplotlib is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "mine.yaml").write_text("seed_everything: 0")
        ...     command = f"--config {folder}/mine.yaml --alpha 0.5 1 --beta 0 --folder {folder}/sweep".split()
        ...     results = sweep(command, train=lambda options: {"val/accuracy": 0.5})
        ...     sorted(path.name for path in results.iterdir())
        ['alpha_0.5_beta_0', 'alpha_1_beta_0', 'plane.png', 'table.md']
    """
    given, options = _parser().parse_known_args(arguments)
    settings = _fingerprint(given.config, [*options, given.divergence])
    results = _Results(Path(given.folder), settings, given.metric)
    command = [
        *_QUIET,
        "--trainer.enable_checkpointing=false",
        *(f"--config={path}" for path in given.config),
        *options,
    ]
    points = [_Point(*point) for point in itertools.product(given.alpha, given.beta, given.seeds)]
    for number, point in enumerate(points, 1):
        if not results.file(point).is_file():
            at = f"α = {point.alpha:g}, β = {point.beta:g}, seed {point.seed}"
            rank_zero_info(f"Sweep: {at} ({number} of {len(points)}).")
            shutil.rmtree(results.place(point), ignore_errors=True)
            results.write(point, train([*command, *_options(point, given.divergence, results.place(point))]))
        # Read at once, so that a wrong folder or metric stops the sweep here and not after the last training.
        results.read(results.file(point))
    _report(results)
    return results.folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="abkd sweep",
        description="Train once for each (α, β) and seed; the same command resumes. Other options are those of fit.",
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="append", required=True, help="config of the training; may be repeated")
    parser.add_argument("--alpha", type=float, nargs="+", required=True, help="values of α")
    parser.add_argument("--beta", type=float, nargs="+", required=True, help="values of β")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="seeds of each point (0)")
    parser.add_argument("--folder", default="runs/sweep", help="folder of the results (runs/sweep)")
    parser.add_argument("--metric", default="val/accuracy", help="what the table and the map show (val/accuracy)")
    parser.add_argument(
        "--divergence",
        default="model.divergence",
        help="where α and β are (model.divergence); inside DKD, for one, model.divergence.divergence",
    )
    return parser


def _fingerprint(configs: list[str], options: list[str]) -> str:
    """Compute a digest of the configs and options, by which a sweep recognises its own results."""
    for path in configs:
        if not Path(path).is_file():
            raise FileNotFoundError(f"Option `--config` should name a file. Found no file at {path}.")
    texts = [Path(path).read_text() for path in configs]
    return digest(json.dumps([texts, options]).encode())


def _options(point: _Point, divergence: str, place: Path) -> list[str]:
    """Return the options that train one point and log to its folder."""
    logger = {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": str(place), "name": "", "version": ""},
    }
    return [
        f"--{divergence}.alpha={point.alpha}",
        f"--{divergence}.beta={point.beta}",
        f"--seed_everything={point.seed}",
        f"--trainer.logger={json.dumps(logger)}",
    ]


def _report(results: _Results) -> None:
    """Write the table and the map of all results of a folder."""
    values = results.values()
    rows = [f"| α | β | {results.metric} | seeds | diverged |", "|---|---|---|---|---|"]
    rows += [_row(alpha, beta, seeds) for (alpha, beta), seeds in sorted(values.items())]
    with write_whole(results.folder / "table.md") as part:
        part.write_text("\n".join(rows) + "\n")
    plot_alpha_beta_plane(values, results.folder / "plane.png", results.metric)
    rank_zero_info("\n".join([*rows, f"In {results.folder}: table.md, plane.png"]))


def _row(alpha: float, beta: float, values: Sequence[float]) -> str:
    """Lay out mean ± standard deviation over the seeds that did not diverge."""
    known = [value for value in values if not math.isnan(value)]
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    shown = f"{statistics.fmean(known):.4f} ± {deviation:.4f}" if known else ""
    return f"| {alpha:g} | {beta:g} | {shown} | {len(values)} | {len(values) - len(known)} |"
