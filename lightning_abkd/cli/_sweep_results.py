"""The folder of a sweep: a result for every point, of one set of configs and options."""

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lightning_abkd._utils import digest, write_whole
from lightning_abkd.cli._sweep_command import Request
from lightning_abkd.cli._sweep_grid import Point

# What is shown where the command names no metric: the first that was measured.
_METRICS = ("val/accuracy", "val/perplexity", "val/loss")
# Words in the name of a metric that is better when it is smaller.
_SMALLER = ("loss", "divergence", "perplexity", "error", "entropy")

Values = dict[tuple[str, ...], list[float]]


class Spread(NamedTuple):
    """Mean and standard deviation over the seeds that did not diverge; NaN and 0 where all did."""

    mean: float
    deviation: float


def spread(values: Sequence[float]) -> Spread:
    """Compute mean and standard deviation over the seeds that did not diverge."""
    known = [value for value in values if not math.isnan(value)]
    deviation = statistics.stdev(known) if len(known) > 1 else 0.0
    return Spread(statistics.fmean(known) if known else math.nan, deviation)


class Results:
    """The folder of a sweep.

    Args:
        request: The command line of the sweep.

    Attributes:
        folder: The folder.
        metric: What is shown; until a first result is read, possibly only the default.
    """

    def __init__(self, request: Request) -> None:
        self.folder = Path(request.folder)
        self.metric = request.metric or _METRICS[0]
        self._request = request
        self._is_metric_open = request.metric is None
        self._grid = request.grid

    @property
    def is_smaller_better(self) -> bool:
        """True if the best point has the smallest value."""
        words = self.metric.rpartition("/")[2]
        return any(word in words for word in _SMALLER) if self._request.mode is None else self._request.mode == "min"

    def place(self, point: Point) -> Path:
        """Return the folder of a point."""
        return self.folder / self._grid.folder(point)

    def is_done(self, point: Point) -> bool:
        """Return True if a point has a result."""
        return self._file(point).is_file()

    def write(self, point: Point, metrics: Mapping[str, float] | None) -> None:
        """Write the result of a point."""
        values = dict(zip(self._keys(), point.values, strict=True))
        # A plane is written as by version 0.1.0.
        over = {name: float(value) for name, value in values.items()} if self._grid.is_plane else {"over": values}
        result = {**over, "seed": point.seed, "settings": self._settings(point), "metrics": metrics}
        with write_whole(self._file(point)) as part:
            part.write_text(json.dumps(result, indent=1))

    def read(self, point: Point) -> float:
        """Read the metric of a point, NaN where the training diverged.

        Raises:
            ValueError: If the result is of other configs or options, or the metric was not measured.
        """
        return self._read(self._file(point))[1]

    def values(self) -> Values:
        """Read the results of all points, also of earlier commands: one value per seed by the values of the options."""
        values: Values = defaultdict(list)
        for path in sorted(self.folder.glob("*/seed_*/result.json")):
            if self._point(json.loads(path.read_text())) is not None:
                point, value = self._read(path)
                values[point.values].append(value)
        return values

    def best(self, values: Values) -> tuple[str, ...] | None:
        """Return the point with the best mean, if possible among those of which no seed diverged."""
        means = {point: spread(seeds).mean for point, seeds in values.items()}
        whole = {point: mean for point, mean in means.items() if not any(map(math.isnan, values[point]))}
        known = {point: mean for point, mean in (whole or means).items() if not math.isnan(mean)}
        choose = min if self.is_smaller_better else max
        return choose(known, key=known.__getitem__) if known else None

    def _keys(self) -> list[str]:
        """Return the keys of a result, one per dimension."""
        if self._grid.is_plane:
            return ["alpha", "beta"]
        return [dimension.option for dimension in self._grid.dimensions]

    def _file(self, point: Point) -> Path:
        return self.place(point) / "result.json"

    def _point(self, result: Mapping[str, object]) -> Point | None:
        """Return the point of a result; None for one of a sweep over other options."""
        keys = self._keys()
        over = result if self._grid.is_plane else result.get("over")
        if not isinstance(over, Mapping) or (self._grid.is_plane and "over" in result):
            return None
        if not self._grid.is_plane and list(over) != keys:
            return None
        return Point(tuple(str(over[key]) for key in keys), int(str(result["seed"])))

    def _read(self, path: Path) -> tuple[Point, float]:
        result = json.loads(path.read_text())
        point = self._point(result)
        if point is None or result["settings"] != self._settings(point):
            raise ValueError(
                "Parameter `folder` should hold results of the same configs and options, or none. "
                f"Found others in `folder = {str(self.folder)!r}`. Choose another folder, or delete this one."
            )
        return point, self._measured(result["metrics"])

    def _measured(self, metrics: Mapping[str, float] | None) -> float:
        """Return the metric, which the first result chooses where the command names none."""
        if metrics is None:
            return math.nan
        if self._is_metric_open:
            self.metric = next((name for name in _METRICS if name in metrics), self.metric)
            self._is_metric_open = False
        if self.metric not in metrics:
            listed = ", ".join(sorted(metrics))
            raise ValueError(f"Parameter `metric` should be one of {listed}. Found {self.metric!r}.")
        return float(metrics[self.metric])

    def _settings(self, point: Point) -> str:
        """Compute a digest of configs and options, by which a sweep recognises its own results."""
        pairs = zip(self._grid.dimensions, point.values, strict=True)
        configs = [*self._request.configs, *(value for dimension, value in pairs if dimension.option == "config")]
        options = [*self._request.options, self._request.divergence]
        return digest(json.dumps([[read_config(path) for path in configs], options]).encode())


def read_config(path: str) -> str:
    """Read a config's text.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"Option `--config` should name a file. Found no file at {path}.")
    return Path(path).read_text()
