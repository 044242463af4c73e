import importlib
import sys
from pathlib import Path

import pytest
import torch
import yaml

from lightning_abkd.cli import AbkdCLI
from tests.data._formats import accept_any_checksum, write_cifar100, write_fashion_mnist

ROOT = Path(__file__).parent.parent
CONFIGS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))
FORMATS = {"FashionMNISTDataModule": write_fashion_mnist, "CIFAR100DataModule": write_cifar100}


def write_teacher(spec):
    """Save an untrained network where the config expects its teacher."""
    module, _, name = spec["network"]["class_path"].rpartition(".")
    network = getattr(importlib.import_module(module), name)(**spec["network"]["init_args"])
    path = Path(spec["checkpoint"])
    path.parent.mkdir(parents=True)
    torch.save(network.state_dict(), path)


@pytest.mark.parametrize("path", CONFIGS, ids=str)
@pytest.mark.filterwarnings("ignore:The `batch_size` .* larger", "ignore:.*lr_scheduler.step.*")
def test_every_config_runs_two_steps(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    accept_any_checksum(monkeypatch)
    config = yaml.safe_load((ROOT / path).read_text())
    options = ["--trainer.fast_dev_run", "2", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    name = config["data"]["class_path"].rpartition(".")[2]
    if name == "InstructionDataModule":
        options += ["--data.batch_size", "2"]
    if name in FORMATS:
        FORMATS[name](tmp_path / "data", 40)
        options += ["--data.num_workers", "0", "--data.batch_size", "16"]
    if teacher := config["model"]["init_args"].get("teacher"):
        write_teacher(teacher["init_args"])
    cli = AbkdCLI(["fit", "--config", str(ROOT / path), *options])
    assert cli.trainer.global_step == 2
    assert torch.isfinite(cli.trainer.callback_metrics["train/loss"])
