import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*options, cwd):
    command = [sys.executable, str(ROOT / "examples" / "quickstart.py"), "--seeds", "1", "--epochs", "1", *options]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    return folder, run("--output", "out", cwd=folder)


def test_quickstart_runs_from_anywhere_and_writes_its_results(first):
    folder, result = first
    assert result.returncode == 0, result.stderr
    assert {"results.md", "results.json", "curves.png", "teacher", "logs"} <= {
        p.name for p in (folder / "out").iterdir()
    }
    assert "α-β scheduled" in (folder / "out" / "results.md").read_text()


def test_quickstart_resumes_what_is_done(first):
    folder, result = first
    again = run("--output", "out", cwd=folder)
    assert "seed 0 …" in result.stdout
    assert "seed 0 …" not in again.stdout
    assert [x for x in again.stdout.splitlines() if x[:1] == "|"] == [
        x for x in result.stdout.splitlines() if x[:1] == "|"
    ]


def test_quickstart_names_unreadable_results(tmp_path):
    (tmp_path / "results.json").write_text("{broken")
    result = run("--output", str(tmp_path), cwd=tmp_path)
    assert result.returncode == 1
    assert "cannot be read as results. Delete it" in result.stderr
