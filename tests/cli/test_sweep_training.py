import json
import sys

import pytest
import yaml

from lightning_abkd.cli import main
from lightning_abkd.cli._sweep_training import SweepCheck, check_point
from lightning_abkd.modules import DistillationModule
from tests.cli._commands import CONFIG

pytestmark = pytest.mark.float32


def swept(monkeypatch, *options):
    points = ["--alpha", "0.5", "1", "--beta", "0", "--seeds", "0", "1", "--trainer.max_epochs", "1"]
    monkeypatch.setattr(sys, "argv", ["abkd", "sweep", "--config", "config.yaml", *points, *options])
    main()


def test_a_sweep_measures_every_point_and_saves_no_student(folder, monkeypatch):
    scheduled = yaml.safe_load(CONFIG)
    scheduled["trainer"]["callbacks"] = scheduled["trainer"]["callbacks"][1:]
    (folder / "config.yaml").write_text(yaml.safe_dump(scheduled))
    swept(monkeypatch)
    table = (folder / "runs" / "sweep" / "table.md").read_text().splitlines()
    assert [row.split("|")[1:3] for row in table[2:]] == [[" 0.5 ", " 0 "], [" 1 ", " 0 "]]
    point = folder / "runs" / "sweep" / "alpha_0.5_beta_0" / "seed_1"
    assert {path.name for path in point.iterdir()} == {"config.yaml", "hparams.yaml", "metrics.csv", "result.json"}
    assert not (folder / "checkpoints").exists()


def test_a_training_of_a_sweep_may_diverge(folder, monkeypatch):
    def broken(self, batch, batch_idx):
        raise FloatingPointError("NaN")

    monkeypatch.setattr(DistillationModule, "training_step", broken)
    swept(monkeypatch, "--trainer.callbacks", "null")
    assert "| 1 | 0 |  | 2 | 2 |" in (folder / "runs" / "sweep" / "table.md").read_text()


def left_out(*options):
    return check_point(["--config=config.yaml", *options])


def test_a_schedule_of_what_is_swept_is_left_out_and_said(folder, monkeypatch, capsys):
    swept(monkeypatch)
    said = "The sweep sets model.divergence.beta, so the schedule of AlphaBetaScheduler that moves it is left out."
    assert capsys.readouterr().err.count(said) == 1
    saved = folder / "runs" / "sweep" / "alpha_1_beta_0" / "seed_0" / "config.yaml"
    assert yaml.safe_load(saved.read_text())["trainer"]["callbacks"] is None


def test_a_loss_that_is_swept_takes_its_schedules_with_it():
    assert len(left_out("--model.divergence=JensenShannon")) == 1


def test_schedules_of_other_numbers_stay():
    assert left_out("--model.task_weight=0.5", "--model.divergence.alpha=0.5") == []


def test_only_the_swept_number_of_a_scheduler_stands_still():
    scheduler = {
        "class_path": "HyperparameterScheduler",
        "init_args": {"schedules": {"task_weight": 0.1, "divergence.temperature": 2.0}},
    }
    training = SweepCheck(
        ["--config=config.yaml", f"--trainer.callbacks=[{json.dumps(scheduler)}]", "--model.task_weight=0.5"]
    )
    (callback,) = training.config["fit"].trainer.callbacks
    assert callback.init_args.schedules == {"divergence.temperature": 2.0}
    assert len(training.left_out) == 1


def test_an_unknown_option_is_refused_before_the_first_training(folder, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="2"):
        swept(monkeypatch, "--over", "model.divergence.gamma=1,2")
    assert "'gamma' is not accepted" in capsys.readouterr().err
    assert not (folder / "runs").exists()
