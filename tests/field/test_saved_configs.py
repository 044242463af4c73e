"""A config that a run saved, or `--print_config` printed, is the same run again."""

import sys
from pathlib import Path

import pytest

from lightning_abkd.cli import AbkdCLI
from tests import _pages as pages

pytestmark = pytest.mark.float32

IMAGES = str(pages.ROOT / "configs" / "quickstart" / "student.yaml")
LANGUAGE = str(pages.ROOT / "configs" / "language" / "quickstart.yaml")
GIVEN = {
    "a word where a function may be": [LANGUAGE, "--data.template", "chat"],
    "a function": [LANGUAGE, "--data.template", "lightning_abkd.data.alpaca_prompt"],
    "a function of one's own": [LANGUAGE, "--data.template", "my_project.prompt"],
    "short names": [IMAGES, "--model.divergence", "DKD", "--model.divergence.divergence", "JensenShannon"],
    "tuples": [IMAGES, "--model.optimizer", "AdamW", "--model.optimizer.betas", "[0.8, 0.9]"],
    "a duration": [IMAGES, "--trainer.max_time", "00:00:10:00"],
    "a strategy": [IMAGES, "--trainer.strategy", "DDPStrategy", "--trainer.precision", "bf16-mixed"],
    "a scheduler": [IMAGES, '--trainer.callbacks={"class_path": "HyperparameterScheduler", "init_args": '
                    '{"schedules": {"task_weight": 0.1}}}'],
    "intervals": [IMAGES, "--trainer.callbacks", "ModelCheckpoint",
                  "--trainer.callbacks.train_time_interval", "1:00:00"],
    "paths": [IMAGES, "--trainer.callbacks", "ModelCheckpoint", "--trainer.callbacks.dirpath", "a/b"],
    "nulls": [IMAGES, "--model.teacher", "null", "--trainer.callbacks", "null", "--trainer.logger", "false"],
    "very small numbers": [IMAGES, "--model.optimizer.lr", "1e-9", "--trainer.limit_train_batches", "1.0"],
    "a checkpoint": [IMAGES, "--ckpt_path", "last"],
}  # fmt: skip
PROMPT = "def prompt(instruction: str, context: str = '') -> str:\n    return instruction"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "my_project.py").write_text(
        "def prompt(instruction: str, context: str = '') -> str:\n    return instruction"
    )


def printed(capsys, config, *options):
    with pytest.raises(SystemExit, match="0"):
        AbkdCLI(["fit", "--config", config, *options, "--print_config"])
    return capsys.readouterr().out


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN.keys())
def test_a_printed_config_is_the_same_run(given, capsys):
    Path("full.yaml").write_text(first := printed(capsys, *given))
    assert "Unable" not in first
    assert printed(capsys, "full.yaml") == first


@pytest.mark.parametrize("name", ["lightning_abkd.losses.MultiLevelDistillation", "MultiLevelDistillation"])
@pytest.mark.filterwarnings("ignore:lightning_abkd.losses.MultiLevelDistillation is now:DeprecationWarning")
def test_an_old_name_runs_again_too(name, capsys):
    Path("full.yaml").write_text(first := printed(capsys, IMAGES, "--model.divergence", name))
    assert printed(capsys, "full.yaml") == first


def test_a_saved_config_gives_the_same_numbers():
    options = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "2"]
    options += ["--trainer.enable_model_summary", "false", "--model.teacher", "null", "--model.divergence", "null"]
    options += ["--trainer.callbacks", "null"]
    first = AbkdCLI(["fit", "--config", IMAGES, *options]).trainer
    again = AbkdCLI(["fit", "--config", str(Path(first.log_dir, "config.yaml"))]).trainer
    assert again.callback_metrics == first.callback_metrics
    assert Path(again.log_dir, "config.yaml").read_text() == Path(first.log_dir, "config.yaml").read_text()
