import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_abkd.cli import AbkdCLI, main
from lightning_abkd.losses import ReverseKL
from lightning_abkd.modules import DistillationModule

CONFIG = """
seed_everything: 1
trainer:
  accelerator: cpu
  max_epochs: 2
  enable_progress_bar: false
  enable_model_summary: false
  logger: {class_path: lightning.pytorch.loggers.CSVLogger, init_args: {save_dir: ., name: logs}}
  callbacks:
    - class_path: lightning_abkd.callbacks.AlphaBetaScheduler
      init_args:
        beta: {class_path: lightning_abkd.schedules.Linear, init_args: {start: 0.0, end: 1.0}}
    - class_path: lightning.pytorch.callbacks.ModelCheckpoint
      init_args: {dirpath: checkpoints, filename: best, monitor: val/loss, save_last: true}
model:
  class_path: lightning_abkd.modules.DistillationModule
  init_args:
    teacher: {class_path: torchvision.ops.MLP, init_args: {in_channels: 64, hidden_channels: [16, 10]}}
    student: {class_path: torchvision.ops.MLP, init_args: {in_channels: 64, hidden_channels: [10]}}
    divergence: {class_path: lightning_abkd.losses.AlphaBetaDivergence, init_args: {alpha: 0.8}}
data:
  class_path: lightning_abkd.data.DigitsDataModule
  init_args: {flatten: true, batch_size: 256}
"""

MY_PROJECT = """
from lightning_abkd.losses import Divergence
from lightning_abkd.modules import DistillationModule


class MyModule(DistillationModule):
    def __init__(self, extra: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.extra = extra


class MyLoss(Divergence):
    def pointwise(self, log_p, log_q):
        return (log_p - log_q).square().mean(-1)
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path


def run(command, *options):
    return AbkdCLI([command, "--config", "config.yaml", *options])


def refused(capsys, *options, command="fit"):
    with pytest.raises(SystemExit) as stop:
        run(command, *options)
    assert stop.value.code == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("abkd: "))
    return line


def test_fit_test_and_predict_run_from_one_config(folder):
    cli = run("fit")
    assert cli.model.divergence.beta.item() == 1.0
    assert (
        yaml.safe_load((folder / "logs" / "version_0" / "config.yaml").read_text())["model"]["init_args"]["task_weight"]
        == 1.0
    )
    result = run("test", "--ckpt_path", "best").trainer.callback_metrics
    assert {"test/accuracy", "test/agreement"} <= set(result)
    run("predict", "--ckpt_path", "checkpoints/last.ckpt", "--return_predictions", "true")


def test_a_run_that_stopped_resumes_from_last():
    run("fit", "--trainer.max_epochs", "1")
    cli = run("fit", "--ckpt_path", "last")
    assert cli.trainer.current_epoch == 2
    assert cli.trainer.global_step == 2 * 6


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_best_survives_a_move_of_the_folder(folder):
    run("fit", "--trainer.max_epochs", "1")
    (folder / "checkpoints").rename(folder / "moved")
    moved = CONFIG.replace("dirpath: checkpoints", "dirpath: moved")
    (folder / "config.yaml").write_text(moved)
    assert Path(run("test", "--ckpt_path", "best").trainer.ckpt_path) == folder / "moved" / "best.ckpt"


@pytest.mark.parametrize("options", [["--model.divergence.alpha", "0.3"], ["--model.divergence.init_args.alpha=0.3"]])
def test_options_override_the_config(options):
    cli = run("fit", "--trainer.fast_dev_run", "1", *options)
    assert cli.model.divergence.alpha.item() == pytest.approx(0.3)


def test_short_class_names_are_found():
    divergence = "lightning_abkd.losses.ReverseKL"
    for name in ("ReverseKL", divergence):
        cli = run("fit", "--trainer.fast_dev_run", "1", "--trainer.callbacks", "null", "--model.divergence", name)
        assert isinstance(cli.model.divergence, ReverseKL)


def test_a_users_own_module_and_loss_are_taken_by_class_path(folder):
    (folder / "my_project.py").write_text(MY_PROJECT)
    options = ["--model", "my_project.MyModule", "--model.extra", "5", "--model.divergence", "my_project.MyLoss"]
    sys.path.insert(0, str(folder))
    cli = run("fit", "--trainer.fast_dev_run", "1", "--trainer.callbacks", "null", *options)
    assert (type(cli.model).__name__, cli.model.extra) == ("MyModule", 5)


def test_print_config_round_trips(folder, capsys):
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--print_config")
    (folder / "config.yaml").write_text(printed := capsys.readouterr().out)
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--print_config")
    assert capsys.readouterr().out == printed


def test_a_checkpoint_rebuilds_its_module_without_the_teacher(folder):
    run("fit", "--trainer.max_epochs", "1")
    content = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert "teacher" not in content["hyper_parameters"]
    module = DistillationModule.load_from_checkpoint(folder / "checkpoints" / "last.ckpt")
    assert module.teacher is None
    torch.testing.assert_close(module.state_dict(), content["state_dict"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.divergence.aplha", "1"], "model.divergence .*AlphaBetaDivergence.*'aplha' is not accepted. Did you"),
        (["--model.divergence.gamma", "1"], "'gamma' is not accepted. It accepts alpha, beta, temperature"),
        (["--model.divergence.alpha", "much"], "model.divergence.alpha .*Expected a <class 'float'>. Got value: much"),
        (["--model.divergence", "ReverseKLL"], "Found no class 'ReverseKLL'"),
        (["--model", "nowhere.Module"], "model .*No module named 'nowhere'"),
        (["--tariner.max_epochs", "3"], "unrecognized arguments: --tariner.max_epochs"),
        (["--config", "missing.yaml"], "File does not exist: .*missing.yaml"),
        (["--model.divergence.temperature", "0"], "Parameter `temperature` should be finite and greater than 0"),
        (["--ckpt_path", "missing.ckpt"], "Found no file at missing.ckpt"),
        (["--ckpt_path", "config.yaml"], "The checkpoint config.yaml cannot be read"),
    ],
)
def test_mistakes_are_one_sentence_before_training(capsys, options, message):
    import re

    assert re.search(message, refused(capsys, *options))


def test_an_unknown_key_in_the_config_is_named(folder, capsys):
    (folder / "config.yaml").write_text(CONFIG.replace("max_epochs", "max_epoch"))
    assert "does not accept option 'trainer.max_epoch'" in refused(capsys)


def test_best_without_an_earlier_run_says_what_it_needs(capsys):
    assert "needs a ModelCheckpoint with `dirpath`" in refused(capsys, "--ckpt_path", "best", command="test")


def test_errors_of_a_users_code_keep_their_traceback(folder, monkeypatch):
    def broken(self, batch, batch_idx):
        raise ValueError("my own mistake")

    monkeypatch.setattr(DistillationModule, "training_step", broken)
    with pytest.raises(ValueError, match="my own mistake"):
        run("fit")


def test_the_command_finds_modules_in_the_working_directory(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["abkd", "fit", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert sys.path[0] == str(folder)


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
