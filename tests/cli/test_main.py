import sys

import pytest

from lightning_abkd.cli import main


def test_the_command_finds_modules_in_the_working_directory(folder, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["abkd", "fit", "--help"])
    with pytest.raises(SystemExit, match="0"):
        main()
    assert sys.path[0] == str(folder)
