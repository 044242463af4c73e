"""Planted faults: `abkd check` names each in its own sentence, with its cure, and leaves everything as it is."""

import copy
import sys
from pathlib import Path

import pytest
import yaml

from lightning_abkd.cli import main
from tests.field import _doctor as planted

pytestmark = pytest.mark.float32

HERE = planted.HERE


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("doctor")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        planted.write_files()
    return folder


@pytest.fixture(autouse=True)
def at_files(files, monkeypatch):
    monkeypatch.chdir(files)
    monkeypatch.setattr(sys, "path", [*sys.path])


def checked(config, monkeypatch, capsys, *options):
    """Return the exit status of `abkd check`, and what it says."""
    Path("mine.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(sys, "argv", ["abkd", "check", "--config", "mine.yaml", *options])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr().out


def changed(config, **changes):
    """Return a config with other values at dotted keys of the model, or of the data below `data__`."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        section, _, name = key.rpartition("__")
        target = config["data"] if section == "data" else config["model"]
        if name == "class_path":
            target["class_path"] = value
        else:
            target["init_args"][name] = value
    return config


def named(function, **arguments):
    return {"class_path": f"{HERE}.{function}", "init_args": arguments}


def point(**arguments):
    return {"class_path": "lightning_abkd.losses.AlphaBetaDivergence", "init_args": arguments}


def adamw(lr):
    return {"class_path": "torch.optim.AdamW", "init_args": {"lr": lr}}


IMAGES = {
    "teacher in train mode": ({"teacher": named("StubbornTeacher")}, "Teacher in train mode: 1 of its parts"),
    "wrong normalisation": ({"data__class_path": f"{HERE}.RawDigits"}, "Wrong image normalisation: the teacher is"),
    "permuted classes": ({"data__class_path": f"{HERE}.PermutedDigits"}, "Permuted classes: the teacher is right"),
    "T² twice": (
        {"divergence": point(temperature=4.0, scale_by_temperature=True), "distillation_weight": 16.0},
        "T² twice: AlphaBetaDivergence multiplies by T² = 16",
    ),
    "vanishing": ({"divergence": point(alpha=8.0, beta=8.0)}, "Vanishing start: at (α, β) = (8, 8)"),
    "frozen student": ({"student": named("frozen_student")}, "Frozen student: none of its 650 parameters"),
    "one object": (
        {"teacher": named("the_network"), "student": named("the_network")},
        "Teacher = student: Teacher and student should be two networks",
    ),
    "exploding rate": ({"optimizer": adamw(100.0)}, "Learning rate that explodes: the loss grows from"),
}


@pytest.mark.parametrize("fault", IMAGES)
def test_fault_of_an_image_training_is_named(fault, monkeypatch, capsys):
    changes, sentence = IMAGES[fault]
    code, said = checked(changed(planted.DIGITS, **changes), monkeypatch, capsys)
    assert sentence in said
    assert "Cure: " in said
    assert code == 1


OTHER = {"class_path": "lightning_abkd.data.load_tokenizer", "init_args": {"path": "other"}}
TEXTS = {
    "labels shifted twice": ({"data__class_path": f"{HERE}.ShiftedTexts"}, "Labels shifted twice: 100 % of them are"),
    "prompt not masked": ({"data__class_path": f"{HERE}.WholeTexts"}, "Prompt not masked: "),
    "other tokenizer": (
        {"data__teacher_tokenizer": OTHER},
        "Other tokenizer: Parameter `teacher_tokenizer` should have the same token",
    ),
    "other vocabulary": ({"teacher": named("foreign_writer")}, "Other tokenizer: that of the data has 384 ids, and"),
    "pad counted": ({"data__class_path": f"{HERE}.PaddedTexts"}, "Pad counted: "),
}


@pytest.mark.parametrize("fault", TEXTS)
def test_fault_of_a_text_training_is_named(fault, monkeypatch, capsys):
    changes, sentence = TEXTS[fault]
    code, said = checked(changed(planted.LANGUAGE, **changes), monkeypatch, capsys)
    assert sentence in said
    assert code == 1


@pytest.mark.parametrize("config", [planted.DIGITS, planted.LANGUAGE], ids=["digits", "texts"])
def test_sound_config_is_well_and_nothing_is_written(config, files, monkeypatch, capsys):
    before = sorted(files.rglob("*"))
    code, said = checked(config, monkeypatch, capsys)
    assert "All is well" in said, said
    assert code == 0
    assert {path.name for path in set(files.rglob("*")) - set(before)} <= {"mine.yaml"}
