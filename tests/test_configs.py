import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from torchvision.models import resnet18

from lightning_abkd.cli import AbkdCLI, main
from lightning_abkd.data import read_records
from lightning_abkd.models import WideResNet
from lightning_abkd.vision.data._coop import names_file
from tests._home import COOP, ROOT, write_home, write_teacher
from tests.vision.data._formats import accept_any_checksum

pytestmark = pytest.mark.float32

CONFIGS = sorted(path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml"))
IMAGES = ("FashionMNISTDataModule", "CIFAR100DataModule", "ImageFolderDataModule")
QUIET = ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
QUIET += ["--trainer.enable_model_summary", "false"]
ONE = [*QUIET, "--data.num_workers", "0", "--data.batch_size", "4"]
ONE += ["--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1"]


def documented(path):
    """Return the command in a config's head, with the files below the config; without one, the config runs alone."""
    found = re.search(r"^# +abkd (\w+) +(--config .*)", (ROOT / path).read_text(), re.MULTILINE)
    return (found[1], *found[2].split()) if found else ("fit", "--config", str(path))


COMMANDS = sorted({documented(path) for path in CONFIGS})
FITS = [each for each in COMMANDS if each[0] == "fit"]
STEPPED = ("cifar100/base", "cifar100/teacher", "cifar100/objectives/mlkd", "fashion_mnist/teacher", "imagenet/base")
VERSIONED = {
    "cifar100/pairs/resnet56_resnet20": "runs/cifar100/resnet56_resnet20/ab",
    "base_to_new/dtd": "runs/base_to_new/dtd",
}
COSINES = [each for each in FITS if "CosineAnnealingLR" in (ROOT / each[2]).read_text()]


# One of each kind: what they share is checked once. The teachers here are untrained, and their samples too few to tell.
CHECKED = ("mlkd", "gpt2_120m", "openllama_3b_lora", "base_to_new/dtd")


def label(command):
    return " ".join(Path(part).stem for part in command if part != "--config")


def read_again(cli):
    """Return the options of the run whose config is the file that this run saves."""
    parser = cli._subcommand_parsers["fit"]
    parser.save(cli.config["fit"], "saved.yaml", skip_none=False, overwrite=True)
    assert "Unable" not in Path("saved.yaml").read_text()
    return parser.parse_args(["--config", "saved.yaml"]).as_dict() | {"config": None}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return write_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def at_home(home, monkeypatch):
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setenv("TORCH_HOME", str(home))
    accept_any_checksum(monkeypatch)


def test_every_config_is_part_of_a_command():
    assert {part for each in COMMANDS for part in each[2::2]} == {str(path) for path in CONFIGS}


@pytest.mark.parametrize("command", FITS, ids=label)
@pytest.mark.filterwarnings("ignore:The `batch_size` .* larger", "ignore:.*lr_scheduler.step.*")
def test_every_experiment_runs_two_steps(command):
    config = yaml.safe_load((ROOT / command[2]).read_text())
    options = ["--trainer.fast_dev_run", "2", *QUIET]
    data = config["data"]["class_path"].rpartition(".")[2]
    if data == "InstructionDataModule":
        options += ["--data.batch_size", "2"]
    if data in IMAGES:
        options += ["--data.num_workers", "0", "--data.batch_size", "4"]
    if data == "ImageFolderDataModule":
        options += ["--data.image_size", "32"]
    if data == "BaseToNewDataModule":
        options += ["--data.num_workers", "0"]
    write_teacher(command)
    cli = AbkdCLI([*command, *options])
    assert cli.trainer.global_step == 2
    assert torch.isfinite(cli.trainer.callback_metrics["train/loss"])
    assert read_again(cli) == cli.config["fit"].as_dict() | {"config": None}


@pytest.mark.parametrize("config", CHECKED)
def test_the_doctor_raises_no_false_alarm(config, monkeypatch, capsys):
    (path,) = (path for path in CONFIGS if str(path.with_suffix("")).endswith(config))
    command = documented(path)
    write_teacher(command)
    options = ["--data.num_workers", "0", "--data.batch_size", "4", *QUIET[:2]]
    monkeypatch.setattr(sys, "argv", ["abkd", "check", *command[1:], *options])
    with pytest.raises(SystemExit) as stop:
        main()
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("RED")] == []
    assert stop.value.code == 0


@pytest.mark.parametrize("command", COSINES, ids=label)
def test_the_cosine_ends_with_the_training(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        AbkdCLI([*command, "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["model"]["init_args"]["lr_scheduler"]["init_args"]["T_max"] == config["trainer"]["max_epochs"]


@pytest.mark.parametrize("config", STEPPED)
def test_the_rate_falls_three_times_before_the_training_ends(config, capsys):
    with pytest.raises(SystemExit, match="0"):
        AbkdCLI([*documented(f"configs/{config}.yaml"), "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    milestones = config["model"]["init_args"]["lr_scheduler"]["init_args"]["milestones"]
    assert [config["trainer"]["max_epochs"] > each for each in milestones] == [True] * 3


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize("config", VERSIONED)
def test_the_best_epoch_is_tested_from_the_folder_of_its_version(config):
    command = documented(f"configs/{config}.yaml")
    write_teacher(command)
    short = [*ONE, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"]
    AbkdCLI([*command, *short])
    best = f"{VERSIONED[config]}/version_0/checkpoints/best.ckpt"
    result = AbkdCLI(["test", *command[1:], *short, "--ckpt_path", best]).trainer.callback_metrics
    assert 0.0 <= next(value for name, value in result.items() if name.endswith("accuracy")) <= 1.0


def test_dkd_begins_with_a_twentieth_of_its_weight():
    command = documented("configs/cifar100/objectives/dkd.yaml")
    write_teacher(command)
    cli = AbkdCLI([*command, *ONE, "--trainer.fast_dev_run", "1"])
    assert cli.trainer.callback_metrics["train/distillation_weight"] == pytest.approx(0.05)


def test_another_network_becomes_a_teacher_by_option():
    option = ["--model.student", "lightning_abkd.models.wrn_16_1", "--trainer.callbacks.dirpath", "runs/cifar100/small"]
    command = [*documented("configs/cifar100/teacher.yaml"), *option, *ONE]
    cli = AbkdCLI([*command, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1"])
    assert isinstance(cli.model.student, WideResNet)
    assert Path("runs/cifar100/small/best.ckpt").is_file()


def test_a_teacher_of_imagenet_is_read_from_a_file():
    torch.save({"model": resnet18().state_dict()}, "resnet18.pth")
    option = ["--model.teacher", "lightning_abkd.models.load_pretrained", "--model.teacher.checkpoint", "resnet18.pth"]
    option += ["--model.teacher.network", "torchvision.models.resnet18", "--data.image_size", "32"]
    command = [*documented("configs/imagenet/kd.yaml"), *option, *ONE]
    assert AbkdCLI([*command, "--trainer.fast_dev_run", "1"]).trainer.global_step == 1


def test_an_unknown_key_of_an_objective_fails(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: {init_args: {divergence: {init_args: {gamma: 1.0}}}}")
    with pytest.raises(SystemExit, match="2"):
        AbkdCLI([*documented("configs/cifar100/objectives/ab.yaml"), "--config", str(mine)])
    assert "'gamma' is not accepted" in capsys.readouterr().err


def test_a_size_of_gpt2_is_tested_on_five_sets():
    options = ["--trainer.fast_dev_run", "1", "--trainer.callbacks.max_samples", "1", *QUIET]
    result = AbkdCLI(["test", *documented("configs/language/gpt2_120m.yaml")[1:], *options]).trainer.callback_metrics
    for each in ("dolly", "self_instruct", "vicuna", "sinst", "uinst"):
        assert torch.isfinite(result[f"test/{each}/rouge_l"])


def test_answers_are_training_data():
    AbkdCLI([*documented("configs/language/answers.yaml"), *QUIET])
    assert len(read_records("data/dolly/gpt2-xl.jsonl")) == 8


def test_a_stored_teacher_is_not_loaded_again():
    cached = [*documented("configs/language/cached.yaml"), "--trainer.fast_dev_run", "1", *QUIET]
    AbkdCLI(cached)
    cli = AbkdCLI([*cached, "--model.teacher", "null", "--model.divergence.alpha", "0.5"])
    assert cli.model.stored_teacher is not None
    assert cli.trainer.callback_metrics["val/loss"] > 0.0


def test_every_data_set_of_coop_has_a_config():
    assert [path.stem for path in CONFIGS if path.match("base_to_new/*") and path.stem != "base"] == COOP


@pytest.mark.parametrize("dataset", COOP)
def test_both_networks_know_the_classes_of_their_data_set(dataset):
    config = yaml.safe_load((ROOT / "configs" / "base_to_new" / f"{dataset}.yaml").read_text())
    assert config["data"]["init_args"]["dataset"] == dataset
    for network in ("teacher", "student"):
        names = config["model"]["init_args"][network]["init_args"]["class_names"]
        assert names == names_file("data", dataset).as_posix()


@pytest.mark.parametrize("dataset", ["dtd", "imagenet"])
def test_both_halves_of_a_data_set_are_tested(dataset):
    config = documented(f"configs/base_to_new/{dataset}.yaml")[1:]
    result = AbkdCLI(["test", *config, "--data.num_workers", "0", *QUIET]).trainer.callback_metrics
    base, new = (result[f"test/{half}/accuracy"].item() for half in ("base", "new"))
    assert result["test/harmonic_mean"].item() == pytest.approx(2 * base * new / max(base + new, 1e-9))


def test_the_published_base_to_new_protocol_sees_all_classes():
    transductive = ["--data.transductive", "true", "--data.num_workers", "0"]
    cli = AbkdCLI([*documented("configs/base_to_new/dtd.yaml"), *transductive, "--trainer.fast_dev_run", "4", *QUIET])
    # 4 classes of 8 images in batches of 8
    assert cli.trainer.global_step == 4
