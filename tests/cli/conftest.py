import sys

import pytest

from tests.cli._commands import CONFIG


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path
