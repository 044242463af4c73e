import re
import sys
from pathlib import Path

import pytest
import yaml

from lightning_abkd.cli import AbkdCLI

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def mentioned_targets(text):
    return set(re.findall(r"^make ([\w-]+)|`make ([\w-]+)`", text, re.MULTILINE))


def mentioned_files(text):
    return set(re.findall(r"\b((?:configs|benchmarks|examples)/[\w./-]*\w\.(?:yaml|py|md))", text))


@pytest.mark.parametrize("code", blocks(README, "python"))
def test_python_of_the_readme_runs(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "README.md", "exec"), {"__name__": "readme"})


@pytest.mark.parametrize("config", blocks(README, "yaml"))
def test_config_of_the_readme_runs(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    Path("mine.yaml").write_text(config)
    options = ["--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    assert AbkdCLI(["fit", "--config", "mine.yaml", *options]).trainer.global_step == 1


def test_commands_of_the_readme_exist():
    for first, second in mentioned_targets(README):
        assert re.search(rf"^{first or second}:", MAKEFILE, re.MULTILINE)


def test_files_of_the_readme_exist():
    for path in mentioned_files(README):
        assert (ROOT / path).is_file(), path


def test_losses_of_the_readme_are_those_of_the_package():
    from lightning_abkd import losses

    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    classes = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    of_losses = {name for name in classes if issubclass(getattr(losses, name), losses.DistillationLoss)}
    assert listed == of_losses - {"DistillationLoss", "Divergence"}


def test_the_examples_number_of_lines_is_kept():
    python, own = blocks(README, "python")[:2]
    assert len([line for line in python.splitlines() if line]) <= 15
    assert len([line for line in own.splitlines() if line]) <= 10


def test_blocks_targets_and_files_are_found_in_a_text():
    text = "`make test`\n```python\nx = 1\n```\n```yaml\na: 1\n```\nmake lint\nsee configs/a/b.yaml."
    assert blocks(text, "python") == ["x = 1\n"]
    assert yaml.safe_load(blocks(text, "yaml")[0]) == {"a": 1}
    assert mentioned_targets(text) == {("", "test"), ("lint", "")}
    assert mentioned_files(text) == {"configs/a/b.yaml"}
