import sys

import pytest

from tests.cli._commands import CONFIG

# The teacher of these tests is as random as it looks.
RANDOM = pytest.mark.filterwarnings("ignore:The teacher seems to know nothing")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent.name == "cli":
            item.add_marker(RANDOM)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(sys, "path", [*sys.path])
    return tmp_path
