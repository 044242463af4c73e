from pkgutil import resolve_name
from types import ModuleType

import pytest

from lightning_abkd.cli import _addresses
from lightning_abkd.cli._addresses import closest_address, public_addresses, show_public_addresses
from lightning_abkd.losses import LSD
from tests.cli._commands import run

SHORT = ("--model.divergence", "LogitStandardization")


def test_addresses_are_those_of_catalogues_and_rooms():
    assert {
        "lightning_abkd.modules.DistillationModule",
        "lightning_abkd.data.DigitsDataModule",
        "lightning_abkd.losses.AlphaBetaDivergence",
        "lightning_abkd.schedules.Linear",
    } <= set(public_addresses())


def test_every_address_leads_somewhere():
    for address in public_addresses():
        resolve_name(address)


def test_older_jsonargparse_is_told_no_addresses(monkeypatch):
    monkeypatch.setattr(_addresses, "_util", ModuleType("without resolved_import_paths"))
    show_public_addresses()


def test_configs_show_the_public_address_of_a_short_name(capsys):
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--model.divergence", "ReverseKL", "--print_config")
    printed = capsys.readouterr().out
    assert "class_path: lightning_abkd.losses.ReverseKL" in printed
    assert "class_path: lightning_abkd.callbacks.AlphaBetaScheduler" in printed


def test_old_short_name_is_found_and_warns():
    with pytest.warns(DeprecationWarning, match=r"losses.LogitStandardization is now lightning_abkd.losses.LSD"):
        cli = run("fit", "--trainer.fast_dev_run", "1", "--trainer.callbacks", "null", *SHORT)
    assert type(cli.model.divergence) is LSD


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ReverseKLL", "lightning_abkd.losses.ReverseKL"),
        ("lightning_abkd.vision.DigitsDataModule", "lightning_abkd.data.DigitsDataModule"),
        ("lightning_abkd.modules.DistilationModule", "lightning_abkd.modules.DistillationModule"),
        ("lightning_abkd.DistillationModul", "lightning_abkd.modules.DistillationModule"),
        ("lightning_abkd.models.resnet20x", "lightning_abkd.models.resnet20"),
        ("DecoupledDistillation", "lightning_abkd.losses.DKD"),
        ("lightning_abkd.models._checkpoint.pretrained", "lightning_abkd.models.load_pretrained"),
        ("xyz123", None),
        ("Identityy", None),
        ("torch.nn.Linearr", None),
    ],
)
def test_mistyped_path_has_a_closest_address(typed, meant):
    assert closest_address(typed) == meant
