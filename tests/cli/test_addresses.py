import pytest

from lightning_abkd.cli._addresses import closest_address, public_addresses
from tests.cli._commands import run


def test_addresses_are_those_of_catalogues_and_rooms():
    addresses = public_addresses()
    assert {
        "lightning_abkd.modules.DistillationModule",
        "lightning_abkd.data.DigitsDataModule",
        "lightning_abkd.losses.AlphaBetaDivergence",
        "lightning_abkd.schedules.Linear",
    } <= set(addresses)
    assert addresses["lightning_abkd.data.DigitsDataModule"].__name__ == "DigitsDataModule"


def test_configs_show_the_public_address_of_a_short_name(capsys):
    with pytest.raises(SystemExit, match="0"):
        run("fit", "--model.divergence", "ReverseKL", "--print_config")
    printed = capsys.readouterr().out
    assert "class_path: lightning_abkd.losses.ReverseKL" in printed
    assert "class_path: lightning_abkd.callbacks.AlphaBetaScheduler" in printed


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("ReverseKLL", "lightning_abkd.losses.ReverseKL"),
        ("lightning_abkd.vision.DigitsDataModule", "lightning_abkd.data.DigitsDataModule"),
        ("lightning_abkd.modules.DistilationModule", "lightning_abkd.modules.DistillationModule"),
        ("nowhere.xyz123", None),
    ],
)
def test_mistyped_path_has_a_closest_address(typed, meant):
    assert closest_address(typed) == meant
