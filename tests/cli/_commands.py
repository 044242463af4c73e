"""A small run of the command, and what it says when it refuses."""

import pytest

from lightning_abkd.cli import AbkdCLI

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


def run(command: str, *options: str) -> AbkdCLI:
    return AbkdCLI([command, "--config", "config.yaml", *options])


def refused(capsys: pytest.CaptureFixture[str], *options: str, command: str = "fit") -> str:
    with pytest.raises(SystemExit) as stop:
        run(command, *options)
    assert stop.value.code == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("abkd: "))
    return line
