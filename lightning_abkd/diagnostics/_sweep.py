"""A training repeated over α, β and seeds."""

import argparse
import hashlib
import itertools
import json
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_info

from lightning_abkd.diagnostics._alpha_beta_plane import mean_and_deviation, plot_alpha_beta_plane

Train = Callable[[list[str]], Mapping[str, float] | None]
_QUIET = ("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false")


def sweep(arguments: list[str], train: Train) -> Path:
    """Train once for each (α, β) and seed, and lay the results out in a table and a heat map.

    The command `abkd sweep`::

        abkd sweep --config mine.yaml --alpha 0.5 0.8 1 --beta 0 0.3 --seeds 0 1 2 --folder runs/sweep

    Every other option is one of `abkd fit`, such as `--trainer.max_epochs 5`. Trainings run one after the other, on one
    device, and write no checkpoints. What a training measured at its end is in `alpha_…_beta_…/seed_…/result.json`
    below the folder, beside its CSV log and its config; `table.md` and `plane.png` collect all results there. The same
    command resumes a sweep that was stopped: what has a result is not trained again, what was killed is, from its
    start. Choose α and β by a metric of the validation set, not of the test set.

    Args:
        arguments: Command line after `abkd sweep`; `--help` lists the options.
        train: Trains with a command line of `abkd fit` and gives what was measured, or None if the loss became NaN.

    Returns:
        The folder of the results.

    Raises:
        ValueError: If the folder holds results of other configs or options, or the metric is not measured.
        FileNotFoundError: If a config is missing.
        ModuleNotFoundError: If matplotlib is missing.
    """
    given, options = _parser().parse_known_args(arguments)
    settings, folder = _fingerprint(given.config, [*options, given.divergence]), Path(given.folder)
    command = [
        *_QUIET,
        "--trainer.enable_checkpointing=false",
        *(f"--config={path}" for path in given.config),
        *options,
    ]
    points = list(itertools.product(given.alpha, given.beta, given.seeds))
    for number, (alpha, beta, seed) in enumerate(points, 1):
        place = folder / f"alpha_{alpha:g}_beta_{beta:g}" / f"seed_{seed}"
        if not (place / "result.json").is_file():
            rank_zero_info(f"Sweep: α = {alpha:g}, β = {beta:g}, seed {seed} ({number} of {len(points)}).")
            shutil.rmtree(place, ignore_errors=True)
            own = [f"--{given.divergence}.alpha={alpha}", f"--{given.divergence}.beta={beta}"]
            own += [f"--seed_everything={seed}", f"--trainer.logger={json.dumps(_logger(place))}"]
            measured = train([*command, *own])
            result = {"alpha": alpha, "beta": beta, "seed": seed, "settings": settings, "metrics": measured}
            _write(place / "result.json", json.dumps(result, indent=1))
        _value(json.loads((place / "result.json").read_text()), settings, given.metric, folder)
    _report(folder, settings, given.metric)
    return folder


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
        "--divergence", default="model.divergence", help="where α and β are (model.divergence); inside DKD, for one, "
        "model.divergence.divergence",
    )  # fmt: skip
    return parser


def _fingerprint(configs: list[str], options: list[str]) -> str:
    for path in configs:
        if not Path(path).is_file():
            raise FileNotFoundError(f"Option `--config` should name a file. Found no file at {path}.")
    texts = [Path(path).read_text() for path in configs]
    return hashlib.sha256(json.dumps([texts, options]).encode()).hexdigest()[:16]


def _logger(folder: Path) -> dict[str, object]:
    options = {"save_dir": str(folder), "name": "", "version": ""}
    return {"class_path": "lightning.pytorch.loggers.CSVLogger", "init_args": options}


def _write(path: Path, text: str) -> None:
    """Write a file that is either whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text)
    os.replace(part, path)


def _value(result: dict[str, object], settings: str, metric: str, folder: Path) -> float:
    """Give what a result says of the metric, NaN where the training diverged."""
    if result["settings"] != settings:
        raise ValueError(
            "Parameter `folder` should hold results of the same configs and options, or none. "
            f"Found others in `folder = {str(folder)!r}`. Choose another folder, or delete this one."
        )
    measured = result["metrics"]
    if not isinstance(measured, dict):
        return math.nan
    if metric not in measured:
        raise ValueError(f"Parameter `metric` should be one of {', '.join(sorted(measured))}. Found {metric!r}.")
    return float(measured[metric])


def _report(folder: Path, settings: str, metric: str) -> None:
    """Write the table and the map of all results of a folder."""
    values: dict[tuple[float, float], list[float]] = defaultdict(list)
    for path in sorted(folder.glob("alpha_*/seed_*/result.json")):
        result = json.loads(path.read_text())
        values[result["alpha"], result["beta"]].append(_value(result, settings, metric, folder))
    rows = ["| α | β | " + metric + " | seeds | diverged |", "|---|---|---|---|---|"]
    for (alpha, beta), seeds in sorted(values.items()):
        mean, deviation = mean_and_deviation(seeds)
        shown = "" if math.isnan(mean) else f"{mean:.4f} ± {deviation:.4f}"
        rows.append(f"| {alpha:g} | {beta:g} | {shown} | {len(seeds)} | {sum(map(math.isnan, seeds))} |")
    _write(folder / "table.md", "\n".join(rows) + "\n")
    plot_alpha_beta_plane(values, folder / "plane.png", metric)
    rank_zero_info("\n".join([*rows, f"In {folder}: table.md, plane.png"]))
