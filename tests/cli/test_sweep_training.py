import sys

import pytest
import yaml

from lightning_abkd.cli import main
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


def test_a_schedule_would_undo_a_sweep(capsys, monkeypatch):
    with pytest.raises(SystemExit, match="2"):
        swept(monkeypatch)
    assert "A sweep sets α and β. Found an AlphaBetaScheduler" in capsys.readouterr().err
