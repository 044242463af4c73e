import sys
import warnings

import pytest

from lightning_abkd.cli import main
from tests.cli._commands import CONFIG


def test_the_command_finds_modules_in_the_working_directory(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["abkd", "fit", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert sys.path[0] == str(folder)


def test_the_list_of_commands_names_all_of_them(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["abkd", "--help"])
    main()
    shown = capsys.readouterr().out
    assert all(f"\n  {command} " in shown for command in ("fit", "validate", "test", "predict", "sweep"))


@pytest.mark.parametrize(("typed", "meant"), [("train", "Did you mean fit"), ("swep", "sweep"), ("x", "abkd --help")])
def test_an_unknown_command_is_one_sentence(monkeypatch, capsys, typed, meant):
    monkeypatch.setattr(sys, "argv", ["abkd", typed])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert meant in capsys.readouterr().err


def test_an_old_name_in_a_config_warns_the_user_once(folder, monkeypatch):
    old = "lightning_abkd.losses.MultiLevelDistillation"
    (folder / "config.yaml").write_text(CONFIG.replace("losses.AlphaBetaDivergence, init_args: {alpha: 0.8}", old[15:]))
    monkeypatch.setattr(sys, "argv", ["abkd", "fit", "--config", "config.yaml", "--print_config"])
    with warnings.catch_warnings(record=True) as caught:
        # Python begins so: it shows no deprecations of libraries.
        warnings.simplefilter("ignore")
        with pytest.raises(SystemExit, match="0"):
            main()
    (message,) = (str(warning.message) for warning in caught)
    assert message.startswith(f"{old} is now lightning_abkd.losses.MLKD; ")


def test_a_deprecation_within_lightning_is_not_shown(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["abkd", "fit", "--help"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(SystemExit, match="0"):
            main()
        warnings.warn("`isinstance(treespec, LeafSpec)` is deprecated, use another.", FutureWarning, stacklevel=1)
        warnings.warn("Another.", FutureWarning, stacklevel=1)
    assert [str(each.message) for each in caught] == ["Another."]
