import json
from importlib import import_module
from pathlib import Path

import pytest

from lightning_abkd.cli import sweep
from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._sweep import sweep_command


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


def over(*options):
    return [part for option in options for part in ("--over", option)]


def test_any_options_and_any_grid_are_swept(folder):
    seen = []
    grid = over("model.divergence=JensenShannon,ReverseKL", "model.divergence.temperature=1,4", "seed_everything=0,1")
    sweep(["--config", "mine.yaml", *grid], lambda options: seen.append(options[-4:-1]) or {"val/accuracy": 0.5})
    assert len(seen) == 8
    assert seen[-1] == ["--model.divergence=ReverseKL", "--model.divergence.temperature=4", "--seed_everything=1"]
    row = "| ReverseKL | 4 | 0.5000 ± 0.0000 | 2 | 0 |"
    assert row in (folder / "table.md").read_text().splitlines()
    assert (folder / "points.png").is_file()


def test_a_sweep_over_options_goes_on_where_it_was():
    grid = ["--config", "mine.yaml", *over("model.task_weight=0,1,2")]
    seen = []
    sweep([*grid[:-1], "model.task_weight=0,2"], lambda options: {"val/accuracy": 0.5})
    sweep(grid, lambda options: seen.append(options) or {"val/accuracy": 0.5})
    assert [options[-3] for options in seen] == ["--model.task_weight=1"]


def test_alpha_and_beta_may_be_swept_by_their_options_too(folder):
    sweep(command(alpha="0.5", beta="0"), Trainings())
    grid = over("model.divergence.alpha=0.5,1", "model.divergence.beta=0", "seed_everything=0,2")
    sweep(["--config", "mine.yaml", *grid], trainings := Trainings())
    assert trainings.seen == [(1.0, 0.0, 0), (1.0, 0.0, 2)]
    assert (folder / "plane.png").is_file()


def test_seeds_are_those_of_the_config_where_none_are_given(tmp_path):
    (tmp_path / "mine.yaml").write_text("seed_everything: 3")
    seen = []
    for options in ([], ["--seed_everything", "7", "--folder", "b"]):
        grid = ["--config", "mine.yaml", *over("a=1"), *options]
        sweep(grid, lambda options: seen.append(options[-2]) or {"val/accuracy": 1})
    assert seen == ["--seed_everything=3", "--seed_everything=7"]


def test_a_point_that_fails_is_named_and_the_rest_goes_on(folder, capsys):
    def train(options):
        if "--a=2" in options:
            raise RuntimeError("out of memory")
        return {"val/accuracy": 0.5}

    sweep(["--config", "mine.yaml", *over("a=1,2,3")], train)
    out = capsys.readouterr().out
    assert "the same command tries again:\n  a = 2, seed 0: out of memory\n" in out
    assert len((folder / "table.md").read_text().splitlines()) == 2 + 2
    assert "RuntimeError" in (folder / "a_2" / "seed_0" / "error.txt").read_text()
    sweep(["--config", "mine.yaml", *over("a=1,2,3")], lambda options: {"val/accuracy": 0.5})
    assert len((folder / "table.md").read_text().splitlines()) == 2 + 3


def test_the_command_fails_after_all_points_if_one_failed(capsys):
    def train(options):
        fail("the file is missing")

    with pytest.raises(SystemExit, match="1"):
        sweep_command(["--config", "mine.yaml", *over("a=1,2")], train, lambda options: [])
    assert "2 failed" in capsys.readouterr().out


def test_options_are_checked_before_the_first_training():
    checked = []

    def check(options):
        checked.append(options[-3:-1])
        return fail("no 4") if "--b=4" in options else []

    with pytest.raises(SystemExit, match="2"):
        sweep(["--config", "mine.yaml", *over("a=1,2", "b=3,4")], lambda options: pytest.fail("trained"), check)
    assert checked == [["--a=1", "--b=3"], ["--a=2", "--b=3"], ["--a=1", "--b=4"]]


def test_an_interrupt_says_how_to_go_on(capsys):
    with pytest.raises(KeyboardInterrupt):
        sweep(command(), Trainings(dies_at=3))
    assert "stopped with 5 points left. The same command goes on." in capsys.readouterr().err


def test_a_config_may_be_swept_and_its_text_belongs_to_the_point(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.yaml").write_text(f"seed_everything: {name}")
    seen = []

    def train(options):
        seen.append(options)
        return {"val/accuracy": 1}

    sweep(["--config", "mine.yaml", *over("config=a.yaml,b.yaml")], train)
    assert [options[-3] for options in seen] == ["--config=a.yaml", "--config=b.yaml"]
    (tmp_path / "b.yaml").write_text("seed_everything: 5")
    with pytest.raises(ValueError, match="Found others"):
        sweep(["--config", "mine.yaml", *over("config=a.yaml,b.yaml")], train)


def test_results_of_another_grid_in_the_folder_are_left_alone(folder):
    sweep(["--config", "mine.yaml", *over("a=1")], lambda options: {"val/accuracy": 1})
    sweep(["--config", "mine.yaml", *over("b=1,2")], lambda options: {"val/accuracy": 1})
    assert len((folder / "table.md").read_text().splitlines()) == 2 + 2


def test_the_old_place_leads_here_with_a_warning():
    with pytest.warns(DeprecationWarning, match=r"^lightning_abkd.diagnostics.sweep is now lightning_abkd.cli.sweep;"):
        assert import_module("lightning_abkd.diagnostics").sweep is sweep


def test_fingerprints_are_those_of_version_0_1_0():
    # Half-done sweeps of that version go on only if this number stays: written there for this config and option.
    sweep(command("--trainer.max_epochs", "3"), Trainings())
    (written,) = {json.loads(path.read_text())["settings"] for path in Path("runs").rglob("result.json")}
    assert written == "3f3f073a3aaaa501"
