"""The command `abkd sweep`: a training repeated over a grid of options and over seeds."""

import json
import math
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from lightning_abkd.cli._errors import message_of
from lightning_abkd.cli._sweep_command import Request, read_command
from lightning_abkd.cli._sweep_grid import Point
from lightning_abkd.cli._sweep_progress import Progress, quiet_trainings
from lightning_abkd.cli._sweep_report import report
from lightning_abkd.cli._sweep_results import Results, read_config

Train = Callable[[list[str]], Mapping[str, float] | None]
Check = Callable[[list[str]], Sequence[str]]
# These follow the configs, since a saved config sets every option.
_QUIET = (
    "--trainer.enable_progress_bar=false",
    "--trainer.enable_model_summary=false",
    "--trainer.enable_checkpointing=false",
)


def sweep(arguments: list[str], train: Train, check: Check | None = None) -> Path:
    """Train once for each point of a grid and each seed, and collect the results in a table and a picture.

    The command `abkd sweep`::

        abkd sweep --config mine.yaml --alpha 0.5,0.8,1 --beta 0,0.3 --seeds 0,1,2 --folder runs/sweep
        abkd sweep --config mine.yaml --over model.divergence=JensenShannon,ReverseKL --over seed_everything=0,1,2

    Every other option is one of `abkd fit`, such as `--trainer.max_epochs 5`. Trainings run one after the other, on one
    device, and write no checkpoints. A schedule that would move a swept number is left out. What a training measured at
    its end is in `result.json` in a folder of the point, such as `alpha_0.5_beta_0/seed_1`, beside its CSV log and its
    config. `table.md` collects all results, and so does `plane.png` for α and β alone, else `points.png`. The same
    command resumes a sweep that was stopped: a point that has a result is not trained again, and one that was killed or
    that failed starts afresh. Choose by a metric of the validation set, not of the test set.

    Args:
        arguments: Command line after `abkd sweep`; `--help` lists the options.
        train: Function that trains with a command line of `abkd fit` and returns what was measured, or None if the loss
            became NaN. An error that it raises ends the point, which is named at the end, and not the sweep.
        check: Function that checks a command line of `abkd fit` before the first training, and returns what should be
            said about it.

    Returns:
        The folder of the results.

    Raises:
        ValueError: If the grid is empty, the folder holds results of other configs or options, or the metric is not
            measured.
        FileNotFoundError: If a config is missing.
        ModuleNotFoundError: If matplotlib is missing.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = Path(folder, "mine.yaml").write_text("seed_everything: 0")
        ...     command = f"--config {folder}/mine.yaml --over model.task_weight=0.5,1 --folder {folder}".split()
        ...     results = sweep(command, train=lambda options: {"val/accuracy": 0.5})
        | task_weight | val/accuracy | seeds | diverged |
        |---|---|---|---|
        | 0.5 | 0.5000 ± 0.0000 | 1 | 0 |
        | 1 | 0.5000 ± 0.0000 | 1 | 0 |
        Best (highest val/accuracy): task_weight = 0.5, with 0.5000. Within one standard deviation of it: 1 other.
        In ...: table.md, points.png
    """
    return _sweep(arguments, train, check)[0]


def sweep_command(arguments: list[str], train: Train, check: Check) -> None:
    """Run `sweep`; the status is 1 if a point failed."""
    if _sweep(arguments, train, check)[1]:
        sys.exit(1)


def _sweep(arguments: list[str], train: Train, check: Check | None) -> tuple[Path, dict[str, str]]:
    """Run a sweep; return its folder, and why points failed."""
    request = read_command(arguments)
    if not request.grid.seeds:
        request = request._replace(grid=request.grid._replace(seeds=(_seed_of(request.configs),)))
    results = Results(request)
    points = request.grid.points()
    missing = [point for point in points if not results.is_done(point)]
    # Read at once, so that a wrong folder or metric stops the sweep here and not after the last training.
    for point in points:
        if point not in missing:
            results.read(point)
    with quiet_trainings():
        notes = _checked(request, check) if check and missing else []
        with closing(Progress(len(points), len(points) - len(missing))) as progress:
            for note in notes:
                progress.say(note)
            failures = _train_missing(request, results, missing, train, progress)
    report(results, request.grid, failures)
    return results.folder, failures


def _seed_of(configs: Sequence[str]) -> int:
    """Return the seed that the configs set last, or 0."""
    pattern = re.compile(r"^seed_everything: *(\d+)", re.MULTILINE)
    seeds = [seed for path in configs for seed in pattern.findall(read_config(path))]
    return int(seeds[-1]) if seeds else 0


def _checked(request: Request, check: Check) -> list[str]:
    """Check every value of every option before the first training; return what should be said."""
    notes = [note for point in request.grid.samples() for note in check(_command(request, point))]
    return list(dict.fromkeys(notes))


def _command(request: Request, point: Point) -> list[str]:
    configs = [f"--config={path}" for path in request.configs]
    return [*configs, *_QUIET, *request.options, *request.grid.options(point)]


def _train_missing(
    request: Request, results: Results, missing: Sequence[Point], train: Train, progress: Progress
) -> dict[str, str]:
    """Train every point that has no result; return why some failed, by their names."""
    failures = {}
    for number, point in enumerate(missing):
        label = request.grid.label(point)
        progress.begin(label)
        place = results.place(point)
        _clear(place)
        with _resumable(progress, len(missing) - number):
            failure = _failure(results, point, train, [*_command(request, point), _logger(place)])
        if failure is None:
            value = results.read(point)
            progress.end(label, "diverged" if math.isnan(value) else f"{results.metric} {value:.4f}")
        else:
            failures[label] = failure
            progress.end(label, f"failed. {failure}")
    return failures


def _clear(place: Path) -> None:
    """Remove what an earlier attempt left.

    Raises:
        ValueError: If it is a link, which would lead the results elsewhere.
    """
    if place.is_symlink() or place.parent.is_symlink():
        raise ValueError(f"Folder `{place}` should be one of the sweep. Found a link in its place; remove it.")
    shutil.rmtree(place, ignore_errors=True)


def _failure(results: Results, point: Point, train: Train, options: list[str]) -> str | None:
    """Train one point and write its result; return why it failed, None where it did not."""
    try:
        measured = train(options)
    except (Exception, SystemExit) as error:
        # An interrupt ends a training with status 1, an error that was said with 2.
        if isinstance(error, SystemExit) and error.code != 2:
            raise
        place = results.place(point)
        place.mkdir(parents=True, exist_ok=True)
        (place / "error.txt").write_text(traceback.format_exc())
        return message_of(error)
    results.write(point, measured)
    return None


@contextmanager
def _resumable(progress: Progress, left: int) -> Iterator[None]:
    """Say on an interrupt how to go on."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        progress.say(f"Sweep: stopped with {left} points left. The same command goes on.")
        raise


def _logger(place: Path) -> str:
    """Return the option that logs a point to its folder."""
    logger = {
        "class_path": "lightning.pytorch.loggers.CSVLogger",
        "init_args": {"save_dir": str(place), "name": "", "version": ""},
    }
    return f"--trainer.logger={json.dumps(logger)}"
