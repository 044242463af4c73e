import inspect

import pytest

import lightning_abkd.losses
from lightning_abkd import data, losses, models
from lightning_abkd.cli._sources import definitions, descends, find, parameters


@pytest.mark.parametrize("room", [losses, data, models])
def test_a_room_has_the_classes_and_functions_that_it_exports(room):
    exported = {name: getattr(room, name) for name in room.__all__}
    defined = {name for name, value in exported.items() if inspect.isfunction(value) or inspect.isclass(value)}
    assert {each.name for each in definitions(room.__name__.split(".")[1])} == defined


def test_a_module_without_a_list_has_what_it_defines():
    assert {"Linear", "Cosine"} <= {each.name for each in definitions("schedules")}
    assert "_Ramp" not in {each.name for each in definitions("schedules")}


def test_a_definition_knows_its_docstring():
    assert find("lightning_abkd.losses", "DKD").text == inspect.getdoc(lightning_abkd.losses.DKD)
    assert find("lightning_abkd.data", "CIFAR100DataModule").summary.startswith("CIFAR-100: 60,000 colour images")
    assert find("lightning_abkd.losses", "Nothing") is None


def test_forwarded_options_are_those_of_the_base():
    found = parameters(find("lightning_abkd.data", "CIFAR100DataModule"))
    assert found[0].startswith("data_dir: ")
    assert "batch_size: int = 128" in found


def test_parameters_are_as_they_are_written():
    assert parameters(find("lightning_abkd.models", "resnet20")) == ["num_classes: int = 100", "in_channels: int = 3"]
    assert parameters(find("lightning_abkd.schedules", "Constant")) == ["value: float"]


def test_a_class_descends_from_its_bases():
    assert descends(find("lightning_abkd.losses", "ReverseKL"), "DistillationLoss")
    assert not descends(find("lightning_abkd.losses", "TokenRule"), "DistillationLoss")
