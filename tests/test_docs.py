import importlib
import inspect
import re
import sys
from pathlib import Path

import pytest
import yaml

import lightning_abkd
from lightning_abkd.cli import AbkdCLI
from tests import _pages as pages
from tests._home import write_teacher

pytestmark = pytest.mark.float32

ROOMS = (
    "callbacks",
    "data",
    "diagnostics",
    "functional",
    "kernels",
    "losses",
    "metrics",
    "models",
    "modules",
    "schedules",
)
REFERENCE = (pages.ROOT / "docs" / "reference.md").read_text()
UPGRADING = (pages.ROOT / "docs" / "upgrading.md").read_text()
RENAMED = re.findall(r"^\| `([\w.]+)` \| `([\w.]+)` \|$", UPGRADING, re.MULTILINE)
STEP = ["--trainer.fast_dev_run", "1", "--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]

each_page = pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: str(page.relative_to(pages.ROOT)))


def each(kind):
    found = pages.all_blocks(kind)
    return pytest.mark.parametrize("block", found.values(), ids=found.keys())


def named(path):
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def public(room):
    module = importlib.import_module(f"lightning_abkd.{room}")
    classes = {name for name, x in vars(module).items() if getattr(x, "__module__", "") == module.__name__}
    return set(getattr(module, "__all__", {name for name in classes if not name.startswith("_")}))


def exists(path):
    try:
        importlib.import_module(path)
    except ModuleNotFoundError:
        named(path)
    return True


@each("python")
def test_python_of_the_pages_runs(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(block, "page", "exec"), {"__name__": "page"})


@each("yaml")
def test_configs_of_the_pages_train_a_step(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    Path("mine.yaml").write_text(block)
    write_teacher(["fit", "--config", str(tmp_path / "mine.yaml")])
    assert AbkdCLI(["fit", "--config", "mine.yaml", *STEP]).trainer.global_step == 1


@each("yaml fragment")
def test_fragments_of_the_pages_name_classes_and_their_arguments(block):
    for path, arguments in pages.classes_of(yaml.safe_load(block)):
        parameters = inspect.signature(named(path)).parameters
        assert arguments <= set(parameters) or "options" in parameters, path


@each_page
def test_targets_of_make_exist(page):
    for target in pages.mentioned_targets(page.read_text()):
        assert re.search(rf"^{target}:", pages.MAKEFILE, re.MULTILINE), target


@each_page
def test_files_exist(page):
    for path in pages.mentioned_files(page.read_text()):
        assert (pages.ROOT / path).is_file(), path


@each_page
def test_links_and_pictures_lead_somewhere(page):
    assert pages.broken_links(page) == []


@each_page
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_names_of_the_package_exist(page):
    assert all(exists(path) for path in pages.mentioned_names(page.read_text()))


def test_index_lists_every_page():
    index = pages.links((pages.ROOT / "docs" / "index.md").read_text())
    written = {str(page.relative_to(pages.ROOT / "docs")) for page in pages.PAGES[1:]}
    assert written - {"index.md"} == {link for link in index if not link.startswith("..")}


@pytest.mark.parametrize("room", ROOMS)
def test_reference_lists_every_public_object(room):
    assert pages.listed(REFERENCE, f"lightning_abkd.{room}", column=1) == sorted(public(room))


def test_reference_lists_the_names_of_the_door():
    assert pages.listed(REFERENCE, "lightning_abkd", column=2) == sorted(set(lightning_abkd.__all__) - {"__version__"})


@pytest.mark.parametrize(("old", "new"), RENAMED)
def test_old_names_warn_and_are_the_new_ones(old, new):
    with pytest.warns(DeprecationWarning, match=new.rpartition(".")[2]):
        assert named(old) is named(new)


def test_blocks_are_told_apart_by_their_words():
    text = "```python\nx = 1\n```\n```yaml\na: 1\n```\n```yaml fragment\nb: 2\n```\n"
    assert pages.blocks(text, "python") == ["x = 1\n"]
    assert pages.blocks(text, "yaml") == ["a: 1\n"]
    assert pages.blocks(text, "yaml fragment") == ["b: 2\n"]


def test_targets_and_files_are_found_in_a_text():
    text = "`make test`, `A=b make slow`\n```text\nmake lint    # x\nabkd --config configs/a/b.yaml\n```\nwe make no"
    assert pages.mentioned_targets(text) == {"test", "slow", "lint"}
    assert pages.mentioned_files(text) == {"configs/a/b.yaml"}


def test_missing_file_and_missing_heading_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# α and β's\n[a](#α-and-βs) [b](#none) [c](gone.md) [d](page.md#α-and-βs) [e](https://x.org)\n")
    assert sorted(pages.broken_links(page)) == ["#none", "gone.md"]


def test_classes_of_a_fragment_are_found_with_their_arguments():
    config = {"a": [{"class_path": "x.Y", "init_args": {"b": {"class_path": "x.Z"}}}]}
    assert pages.classes_of(config) == [("x.Y", {"b"}), ("x.Z", set())]
