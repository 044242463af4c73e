import os

import pytest
import torch
from jsonargparse import _typehints
from torch import nn

from lightning_abkd.data import DigitsDataModule
from lightning_abkd.modules import DistillationModule
from lightning_abkd.training._calls import other_calls_refused

LINEAR = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 4, "out_features": 3}}
CALLED = {"class_path": "os.system", "init_args": {"command": "touch called"}}


def checkpoint(path, key="hyper_parameters", **hyper_parameters):
    weights = {"student.weight": torch.ones(3, 4), "student.bias": torch.ones(3)}
    built = {"_instantiator": "lightning.pytorch.cli.instantiate_module", **hyper_parameters}
    torch.save({"state_dict": weights, "pytorch-lightning_version": "2.6.0", key: built}, path)
    return path


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["optimizer", "lr_scheduler", "divergence"])
def test_a_checkpoint_cannot_call_what_is_not_asked_for(folder, name):
    path = checkpoint(folder / "bad.ckpt", student=LINEAR, **{name: CALLED})
    with pytest.raises(ValueError, match="describe objects that can be built. Found .*os.system"):
        DistillationModule.load_from_checkpoint(path)
    assert not os.path.exists("called")


def test_a_checkpoint_of_a_command_line_is_built_as_before(folder):
    path = checkpoint(folder / "good.ckpt", _class_path="lightning_abkd.modules.DistillationModule", student=LINEAR)
    assert DistillationModule.load_from_checkpoint(path).student.weight.eq(1).all()


def test_a_data_module_is_built_by_the_same_rule(folder):
    path = checkpoint(folder / "bad.ckpt", "datamodule_hyper_parameters", batch_size=CALLED)
    with pytest.raises(ValueError, match="should describe objects that can be built"):
        DigitsDataModule.load_from_checkpoint(path)
    assert not os.path.exists("called")


def test_a_checkpoint_is_not_loaded_into_an_object():
    with pytest.raises(TypeError, match="cannot be called on an instance"):
        DistillationModule(student=nn.Linear(4, 3)).load_from_checkpoint("any.ckpt")


def test_others_parse_as_before_afterwards():
    before = _typehints.adapt_class_type
    with other_calls_refused():
        assert _typehints.adapt_class_type is not before
    assert _typehints.adapt_class_type is before
