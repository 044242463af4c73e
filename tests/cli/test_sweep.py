import json
from importlib import import_module
from pathlib import Path

import pytest

from lightning_abkd.cli import sweep


class Trainings:
    """Takes note of what is trained; its accuracy is α + β + seed / 10, and β = 9 diverges."""

    def __init__(self, dies_at=None):
        self.seen, self.dies_at = [], dies_at

    def __call__(self, options):
        given = dict(option.split("=", 1) for option in options if "=" in option)
        alpha, beta = (float(given[f"--model.divergence.{name}"]) for name in ("alpha", "beta"))
        if len(self.seen) == self.dies_at:
            raise KeyboardInterrupt
        self.seen.append((alpha, beta, int(given["--seed_everything"])))
        return None if beta == 9 else {"val/accuracy": alpha + beta + self.seen[-1][2] / 10, "val/loss": 0.0}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("seed_everything: 0")
    return tmp_path / "runs" / "sweep"


def command(*options, alpha="0.5 1", beta="0 0.3", seeds="0 2"):
    numbers = ["--alpha", *alpha.split(), "--beta", *beta.split(), "--seeds", *seeds.split()]
    return ["--config", "mine.yaml", *numbers, *options]


def test_every_point_is_trained_with_every_seed():
    sweep(command(), trainings := Trainings())
    assert trainings.seen == [(a, b, seed) for a in (0.5, 1.0) for b in (0.0, 0.3) for seed in (0, 2)]


def test_table_has_mean_and_deviation_over_the_seeds(folder):
    sweep(command(), Trainings())
    # α = 0.5, β = 0.3: (0.8 + 1.0) / 2 = 0.9, √((0.1² + 0.1²) / 1) = 0.1414
    assert "| 0.5 | 0.3 | 0.9000 ± 0.1414 | 2 | 0 |" in (folder / "table.md").read_text().splitlines()
    assert (folder / "plane.png").read_bytes().startswith(b"\x89PNG")


def test_a_sweep_that_was_killed_goes_on_where_it_was():
    with pytest.raises(KeyboardInterrupt):
        sweep(command(), first := Trainings(dies_at=3))
    sweep(command(), second := Trainings())
    assert len(first.seen) == 3
    assert len(set(first.seen + second.seen)) == len(first.seen + second.seen) == 8


def test_what_a_killed_training_left_is_cleared_away(folder):
    left = folder / "alpha_0.5_beta_0" / "seed_0"
    left.mkdir(parents=True)
    (left / "metrics.csv").touch()
    sweep(command(alpha="0.5", beta="0", seeds="0"), Trainings())
    assert [path.name for path in left.iterdir()] == ["result.json"]


def test_more_points_join_those_that_are_done(folder):
    sweep(command(seeds="0"), Trainings())
    sweep(command(alpha="0.2", seeds="0"), trainings := Trainings())
    assert trainings.seen == [(0.2, 0.0, 0), (0.2, 0.3, 0)]
    assert len((folder / "table.md").read_text().splitlines()) == 2 + 6


def test_divergence_is_a_result(folder):
    sweep(command(alpha="1", beta="9"), Trainings())
    assert "| 1 | 9 |  | 2 | 2 |" in (folder / "table.md").read_text()
    assert json.loads((folder / "alpha_1_beta_9" / "seed_0" / "result.json").read_text())["metrics"] is None


def test_other_options_reach_the_training():
    seen = []
    sweep(
        command("--trainer.max_epochs", "3", "--model.task_weight=0"), lambda x: seen.append(x) or {"val/accuracy": 1}
    )
    assert seen[0][seen[0].index("--trainer.max_epochs") + 1] == "3"
    assert "--model.task_weight=0" in seen[0]


def test_alpha_and_beta_may_be_inside_another_loss():
    seen = []
    sweep(command("--divergence", "model.divergence.divergence"), lambda x: seen.append(x) or {"val/accuracy": 1})
    assert "--model.divergence.divergence.alpha=0.5" in seen[0]


@pytest.mark.parametrize("options", [["--trainer.max_epochs", "3"], ["--divergence", "model.other"]])
def test_results_of_other_options_are_not_mixed(options):
    sweep(command(), Trainings())
    with pytest.raises(ValueError, match="same configs and options, or none. Found others in `folder = 'runs/sweep'`"):
        sweep(command(*options), Trainings())


def test_results_of_another_config_are_not_mixed(tmp_path):
    sweep(command(), Trainings())
    (tmp_path / "mine.yaml").write_text("seed_everything: 1")
    with pytest.raises(ValueError, match="Found others in"):
        sweep(command(), Trainings())


def test_a_metric_that_is_not_measured_stops_the_sweep_at_once_and_can_be_corrected():
    with pytest.raises(ValueError, match="`metric` should be one of val/accuracy, val/loss. Found 'accuracy'"):
        sweep(command("--metric", "accuracy"), first := Trainings())
    sweep(command("--metric", "val/loss"), second := Trainings())
    assert (len(first.seen), len(second.seen)) == (1, 7)


def test_a_missing_config_is_named():
    with pytest.raises(FileNotFoundError, match="Found no file at nowhere.yaml"):
        sweep(command("--config", "nowhere.yaml"), Trainings())


def test_the_old_place_leads_here_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"^lightning_abkd.diagnostics.sweep is now lightning_abkd.cli.sweep;"):
        assert import_module("lightning_abkd.diagnostics").sweep is sweep


def test_fingerprints_are_those_of_version_0_1_0():
    # Half-done sweeps of that version go on only if this number stays: written there for this config and option.
    sweep(command("--trainer.max_epochs", "3"), Trainings())
    (written,) = {json.loads(path.read_text())["settings"] for path in Path("runs").rglob("result.json")}
    assert written == "3f3f073a3aaaa501"
