import sys
from types import ModuleType

import pytest
import torch
import yaml
from torch import nn

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.models import timm_model
from tests.cli._commands import CONFIG


class StubOfTimm(ModuleType):
    """Stands in for timm where it is not installed: it has two networks, which keep what they were built from."""

    def __init__(self):
        super().__init__("timm")

    def list_models(self):
        return ["resnet18", "resnet34"]

    def is_model(self, name):
        return name in self.list_models()

    def create_model(self, model_name, **options):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, options.get("num_classes", 1000)))
        network.built_from = {"model_name": model_name, **options}
        return network


@pytest.fixture
def stub(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", StubOfTimm())


def test_a_real_network_has_the_classes_and_channels_asked_for():
    # Skipped where timm is not installed.
    network = timm_model("resnet10t", num_classes=7, in_chans=1).eval()
    assert network(torch.zeros(1, 1, 64, 64)).shape == (1, 7)
    assert network.forward_features(torch.zeros(1, 1, 64, 64)).dim() == 4


def test_a_real_name_that_is_wrong_gets_a_suggestion():
    # Skipped where timm is not installed.
    with pytest.raises(ValueError, match="Did you mean .*resnet18"):
        timm_model("resnt18")


def test_only_given_arguments_reach_timm_by_its_own_names(stub):
    assert timm_model("resnet18").built_from == {"model_name": "resnet18", "pretrained": False}
    options = {"num_classes": 3, "in_chans": 1, "drop_path_rate": 0.1, "act_layer": "gelu"}
    built_from = timm_model("resnet18.a1_in1k", pretrained=True, **options).built_from
    assert built_from == {"model_name": "resnet18.a1_in1k", "pretrained": True, **options}


def test_repositories_are_left_to_timm(stub):
    assert timm_model("hf-hub:owner/name").built_from["model_name"] == "hf-hub:owner/name"


def test_a_wrong_name_is_told_what_there_is(stub):
    with pytest.raises(ValueError, match="Found `model_name = 'resnt34'`. Did you mean resnet34"):
        timm_model("resnt34")
    with pytest.raises(ValueError, match=r"Found `model_name = 'x'`. `timm.list_models\(\)` lists them"):
        timm_model("x")


@pytest.mark.float32
@pytest.mark.filterwarnings("ignore:The teacher seems to know nothing")
def test_a_command_gives_the_arguments_of_a_network_by_their_names(stub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    (tmp_path / "mine.yaml").write_text(CONFIG)
    student = {"model_name": "resnet18", "num_classes": 10, "drop_rate": 0.1, "dict_kwargs.act_layer": "gelu"}
    options = [part for name, value in student.items() for part in (f"--model.student.{name}", str(value))]
    options += ["--trainer.limit_train_batches", "1", "--trainer.max_epochs", "1"]
    cli = AbkdCLI(["fit", "--config", "mine.yaml", "--model.student", "timm_model", *options])
    student["act_layer"] = student.pop("dict_kwargs.act_layer")
    assert cli.model.student.built_from == {"pretrained": False, **student}
    saved = yaml.safe_load((tmp_path / "logs" / "version_0" / "config.yaml").read_text())["model"]["init_args"]
    assert saved["student"]["class_path"] == "lightning_abkd.models.timm_model"
    assert saved["student"]["init_args"]["num_classes"] == 10
