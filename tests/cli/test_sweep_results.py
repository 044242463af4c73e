import math

import pytest

from lightning_abkd.cli._sweep_command import read_command
from lightning_abkd.cli._sweep_grid import Point
from lightning_abkd.cli._sweep_results import Results, spread


@pytest.fixture(autouse=True)
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("seed_everything: 0")


def results(*arguments):
    return Results(read_command(["--config", "mine.yaml", "--over", "a=1,2", "--seeds", "0", *arguments]))


def test_mean_and_deviation_leave_diverged_seeds_out():
    # √((1² + 1²) / 1) = √2
    assert spread([1.0, 3.0, math.nan]) == pytest.approx((2.0, math.sqrt(2.0)))
    assert math.isnan(spread([math.nan]).mean)


@pytest.mark.parametrize(
    ("measured", "metric"),
    [
        ({"val/loss": 1.0, "val/accuracy": 0.5}, "val/accuracy"),
        ({"val/loss": 1.0, "val/perplexity": 9.0}, "val/perplexity"),
        ({"val/loss": 1.0, "train/loss": 9.0}, "val/loss"),
    ],
)
def test_the_metric_is_what_was_measured_where_none_is_named(measured, metric):
    folder = results()
    folder.write(Point(("1",), 0), measured)
    assert folder.read(Point(("1",), 0)) == measured[metric]
    assert folder.metric == metric


@pytest.mark.parametrize("metric", ["val/loss", "val/task_loss", "val/perplexity", "val/calibration_error"])
def test_the_best_loss_is_the_smallest(metric):
    assert results("--metric", metric).is_smaller_better
    assert not results("--metric", metric, "--mode", "max").is_smaller_better


def test_the_best_point_did_not_diverge():
    values = {("1",): [0.9, math.nan], ("2",): [0.5, 0.6]}
    assert results().best(values) == ("2",)
    assert results().best({("1",): [math.nan]}) is None
    assert results("--mode", "min").best({("1",): [0.1], ("2",): [0.5]}) == ("1",)
