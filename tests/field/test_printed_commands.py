"""Every command that README.md and docs/ print, as printed and in that order, in one folder."""

import shlex
import sys
from pathlib import Path

import pytest

from lightning_abkd.cli import AbkdCLI, main
from tests import _pages as pages
from tests._home import write_home, write_teacher
from tests.vision.data._formats import accept_any_checksum

pytestmark = pytest.mark.float32

PRINTED = [command for page in pages.READ for command in pages.commands(page.read_text())]
# Commands that are not run here, by how they begin, each with its reason.
NOT_RUN = {
    "make ": "creates an environment, and trains or measures for minutes; its scripts have tests of their own",
    "pip install": "needs the network",
    "python -m build": "needs the network; tests/test_package.py builds the wheel",
}
SHORT = {f"limit_{stage}_batches": 1 for stage in ("train", "val", "test", "predict")}
SHORT |= {"max_epochs": 1, "num_sanity_val_steps": 0, "enable_model_summary": False}
MY_PROJECT = """
from lightning_abkd import Divergence, DistillationModule

class MyModule(DistillationModule):
    pass
"""


def is_run(command):
    return not command.startswith(tuple(NOT_RUN))


def write_my_files(home):
    """Write what a reader has saved by then: mine.yaml, and the classes of the pages in a module."""
    readme = (pages.ROOT / "README.md").read_text()
    (config,) = pages.blocks(readme, "yaml")
    (home / "mine.yaml").write_text(config)
    own = next(block for block in pages.blocks(readme, "python") if "ChiSquare" in block)
    (home / "my_project.py").write_text(f"{own.split('print(')[0]}{MY_PROJECT}")


def shorten(monkeypatch):
    """Make every training and evaluation one small batch, read in this process."""
    instantiate = AbkdCLI._instantiate_trainer

    def one_batch(cli, config, callbacks):
        for name, most in {"num_workers": 0, "batch_size": 8, "eval_batch_size": 8}.items():
            if getattr(cli.datamodule, name, None) is not None:
                setattr(cli.datamodule, name, min(most, getattr(cli.datamodule, name)))
        return instantiate(cli, config | SHORT, callbacks)

    monkeypatch.setattr(AbkdCLI, "_instantiate_trainer", one_batch)


def typed(command, monkeypatch, capsys):
    """Run a command as a shell does; return its status."""
    words, _, file = command.partition(" > ")
    monkeypatch.setattr(sys, "argv", shlex.split(words))
    configs = [word for word in sys.argv if word.startswith("configs/")]
    write_teacher(["", *(word for path in configs for word in ("--config", path))])
    capsys.readouterr()
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    except Exception as error:
        code = repr(error)
    if file:
        Path(file).write_text(capsys.readouterr().out)
    return code


@pytest.fixture
def home(tmp_path, monkeypatch):
    write_home(tmp_path)
    write_my_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    accept_any_checksum(monkeypatch)
    shorten(monkeypatch)


def test_every_command_is_run_or_has_a_reason():
    assert {command.split()[0] for command in PRINTED if is_run(command)} == {"abkd"}
    assert [start for start in NOT_RUN if not any(command.startswith(start) for command in PRINTED)] == []


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")
def test_every_printed_command_runs_in_the_order_of_the_pages(home, monkeypatch, capsys):
    failed = {}
    for command in filter(is_run, dict.fromkeys(PRINTED)):
        if code := typed(command, monkeypatch, capsys):
            failed[command] = f"{code}: {capsys.readouterr().err.strip()[-300:]}"
    assert failed == {}
