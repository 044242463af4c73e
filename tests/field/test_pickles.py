"""Files that hold a program in place of numbers: none of them runs unless the user asks for it."""

import os
import pickle
import sys
from types import ModuleType

import pytest
import torch
from torchvision import datasets

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.data import CIFAR10DataModule
from lightning_abkd.models import TeacherCache, timm_model
from lightning_abkd.modules import DistillationModule
from tests.cli._commands import CONFIG, refused
from tests.language.teachers._teacher_caches import fill
from tests.training._training import trainer

FAST = ("--trainer.limit_val_batches=1", "--trainer.logger=false", "--model.divergence=null", "--model.teacher=null")


class Calls:
    def __reduce__(self):
        return os.system, ("touch called",)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    return tmp_path


@pytest.fixture
def checkpoint(folder):
    weights = {"student.0.weight": torch.ones(10, 64), "student.0.bias": torch.ones(10)}
    content = {"state_dict": weights, "epoch": 0, "global_step": 0, "pytorch-lightning_version": "2.6.0"}
    torch.save(content | {"beside": Calls()}, folder / "x.ckpt")
    return "x.ckpt"


def test_a_checkpoint_runs_no_code_unless_it_is_asked_for(folder, checkpoint, capsys):
    for command in ("fit", "test"):
        said = refused(capsys, "--ckpt_path", checkpoint, command=command)
        assert "needs pickle to run code, posix.system. If you trust its source, `--weights_only false` allows" in said
    assert not (folder / "called").exists()
    AbkdCLI(["validate", "--config", "config.yaml", "--ckpt_path", checkpoint, "--weights_only=false", *FAST])
    assert (folder / "called").exists()


def test_no_way_from_python_runs_the_code_of_a_checkpoint(folder, checkpoint):
    module = DistillationModule(student=torch.nn.Linear(64, 10))
    ways = {
        "load_from_checkpoint": lambda: DistillationModule.load_from_checkpoint(checkpoint),
        "fit": lambda: trainer(folder).fit(module, [], ckpt_path=checkpoint),
        "validate": lambda: trainer(folder).validate(module, [], ckpt_path=checkpoint, verbose=False),
    }
    for name, way in ways.items():
        with pytest.raises(Exception, match="(?s)Weights only load failed|pickle"):
            way()
        assert not (folder / "called").exists(), name


def test_a_folder_of_shards_is_looked_into_first(folder, capsys):
    (folder / "shards").mkdir()
    (folder / "shards" / ".metadata").write_bytes(pickle.dumps(Calls()))
    torch.save({}, folder / "shards" / "meta.pt")
    assert "needs pickle to run code: posix.system" in refused(capsys, "--ckpt_path", "shards")
    assert not (folder / "called").exists()


@pytest.mark.parametrize("name", ["hidden.npy", "done.npy"])
def test_a_cache_holds_numbers_alone(folder, name):
    import numpy as np

    fill(folder / "cache").close()
    np.save(folder / "cache" / name, np.array([Calls()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=f"{name} should be a whole file of a teacher cache"):
        TeacherCache(folder / "cache")
    assert not (folder / "called").exists()


def test_a_batch_of_cifar_is_unpickled_only_if_it_is_the_published_one(folder):
    place = folder / datasets.CIFAR10.base_folder
    place.mkdir()
    for name in [name for name, _ in datasets.CIFAR10.train_list + datasets.CIFAR10.test_list] + ["batches.meta"]:
        torch.save(Calls(), place / name, _use_new_zipfile_serialization=False)
    with pytest.raises(RuntimeError, match="should be a folder of intact files"):
        CIFAR10DataModule(folder).setup("fit")
    assert not (folder / "called").exists()


def test_a_file_that_timm_would_unpickle_is_looked_into_first(folder, monkeypatch):
    built = []
    stub = ModuleType("timm")
    vars(stub).update(is_model=lambda name: True, create_model=lambda name, **options: built.append(options))
    monkeypatch.setitem(sys.modules, "timm", stub)
    torch.save({"state_dict": {"weight": torch.ones(1)}, "beside": Calls()}, folder / "x.pth")
    with pytest.raises(ValueError, match="needs pickle to run code: posix.system"):
        timm_model("resnet18", checkpoint_path="x.pth")
    torch.save({"state_dict": {"weight": torch.ones(1)}}, folder / "x.pth")
    timm_model("resnet18", checkpoint_path="x.pth")
    assert [options["checkpoint_path"] for options in built] == ["x.pth"]
