from pathlib import Path

import pytest

from lightning_abkd.cli import _shipped
from lightning_abkd.cli._shipped import configs_command, shipped_configs, shipped_path

CONFIGS = Path(__file__).parent.parent.parent / "configs"


def test_the_list_has_one_line_of_80_columns_for_every_config(capsys):
    configs_command([])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(list(CONFIGS.rglob("*.yaml")))
    assert max(map(len, lines)) <= 80
    assert all(name in line for name, line in zip(shipped_configs(), lines, strict=True))


def test_a_folder_lists_its_own(capsys):
    configs_command(["quickstart"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "quickstart/student",
        "quickstart/teacher",
    ]


@pytest.mark.parametrize("name", ["quickstart/student", "quickstart/student.yaml", "configs/quickstart/student.yaml"])
def test_a_config_is_printed_as_it_is(capsys, name):
    configs_command([name])
    assert capsys.readouterr().out == (CONFIGS / "quickstart" / "student.yaml").read_text()


def test_a_folder_is_copied_with_its_folders(tmp_path, capsys):
    configs_command(["cifar100", "--to", str(tmp_path / "mine")])
    copied = {path.relative_to(tmp_path / "mine") for path in (tmp_path / "mine").rglob("*.yaml")}
    assert copied == {path.relative_to(CONFIGS) for path in (CONFIGS / "cifar100").rglob("*.yaml")}
    assert len(capsys.readouterr().out.splitlines()) == len(copied)


def test_a_copy_overwrites_nothing(tmp_path, capsys):
    configs_command(["quickstart/teacher", "--to", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        configs_command(["quickstart", "--to", str(tmp_path)])
    assert "should leave files as they are" in capsys.readouterr().err
    assert not (tmp_path / "quickstart" / "student.yaml").exists()


def test_a_wrong_name_has_a_close_one(capsys):
    with pytest.raises(SystemExit, match="2"):
        configs_command(["quickstart/studen"])
    assert "Did you mean quickstart/student?" in capsys.readouterr().err


def test_an_installed_package_has_its_configs_inside(tmp_path, monkeypatch):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "mine.yaml").touch()
    monkeypatch.setattr(_shipped, "_PACKAGE", tmp_path)
    assert shipped_path("abkd:mine") == str(tmp_path / "configs" / "mine.yaml")
