from collections.abc import Callable

import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import nn

from lightning_abkd.cli._addresses import show_public_addresses
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.models import resnet20


@pytest.fixture
def parser():
    show_public_addresses()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--network", type=nn.Module | None)
    parser.add_argument("--loss", type=DistillationLoss | None)
    parser.add_argument("--optimizer", type=Callable[[list], torch.optim.Optimizer])
    return parser


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        (["--network=resnet20"], "lightning_abkd.models.resnet20"),
        (["--network=Tanh"], "torch.nn.Tanh"),
        (["--network=Linear", "--network.in_features=1", "--network.out_features=1"], "torch.nn.Linear"),
        (["--network={class_path: wrn_16_1, init_args: {num_classes: 3}}"], "lightning_abkd.models.wrn_16_1"),
        (["--loss=ReverseKL"], "lightning_abkd.losses.ReverseKL"),
        (["--optimizer=SGD"], "torch.optim.SGD"),
    ],
)
def test_a_short_name_is_found(parser, arguments, path):
    found = parser.parse_args(arguments)
    assert path in [each.class_path for each in vars(found).values() if each]


def test_a_function_takes_its_arguments(parser):
    found = parser.instantiate(parser.parse_args(["--network=resnet20", "--network.num_classes=7"]))
    assert type(found.network) is type(resnet20())
    assert found.network.fc.out_features == 7


def test_a_function_that_builds_something_else_is_not_found(parser):
    with pytest.raises(ArgumentError, match="Expected a dot import path string: resnet20"):
        parser.parse_args(["--loss=resnet20"])


def test_two_classes_of_one_name_are_both_named(parser):
    with pytest.raises(ArgumentError, match="may be torch.nn.Identity, torchvision.transforms.v2.Identity;"):
        parser.parse_args(["--network=Identity"])
