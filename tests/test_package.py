import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests import _lowest as lowest, _source as source

ROOT = Path(__file__).parent.parent
PYPROJECT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(PYPROJECT)["project"]
# Imported inside functions, where their absence names the extra; the others come with dependencies.
OPTIONAL = {"sklearn", "matplotlib", "peft", "rouge_score", "datasets", "pyarrow", "triton"}
BROUGHT_ALONG = {"safetensors", "numpy", "PIL", "yaml", "jinja2"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def test_wheel_holds_the_whole_package(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "lightning_abkd").rglob("*.py")}
    files |= {f"lightning_abkd/{path.relative_to(ROOT)}" for path in (ROOT / "configs").rglob("*.yaml")}
    assert files | {"lightning_abkd/py.typed", "lightning_abkd/language/data/seed_tasks.jsonl"} <= names
    for name in ("LICENSE", "NOTICES"):
        assert any(path.endswith(f"licenses/{name}") for path in names)
    assert not any(name.startswith(("tests/", "configs/")) for name in names)


def test_wheel_installs_the_command(wheel):
    archive = zipfile.ZipFile(wheel)
    (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "abkd = lightning_abkd.cli:main" in archive.read(entry).decode()


def test_wheel_works_outside_the_checkout(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    site = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-m", "lightning_abkd", "configs", "quickstart/student"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=site)
    assert run.returncode == 0, run.stderr
    assert run.stdout == (ROOT / "configs" / "quickstart" / "student.yaml").read_text()


def test_dependencies_are_what_is_imported():
    imported = {
        name.split(".")[0] for tree in source.sources(ROOT).values() for _, name in source.imports(tree) if name
    }
    third_party = imported - set(sys.stdlib_module_names) - {"lightning_abkd"} - OPTIONAL - BROUGHT_ALONG
    declared = {re.split(r"[\[><=~]", line)[0] for line in PROJECT["dependencies"]}
    assert third_party <= declared
    assert declared - third_party <= {"transformers", "jsonargparse"}


def test_version_is_one():
    tree = ast.parse((ROOT / "lightning_abkd" / "__init__.py").read_text())
    (version,) = (ast.literal_eval(n.value) for n in tree.body if isinstance(n, ast.Assign))
    assert version == PROJECT["version"]


def test_source_archive_names_what_exists():
    listed = tomllib.loads(PYPROJECT)["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert [path for path in listed if not (ROOT / path).exists()] == []


def test_every_dependency_has_a_lower_bound():
    assert len(lowest.pins(PYPROJECT)) >= len(PROJECT["dependencies"])


def test_lower_bounds_become_pins():
    assert lowest.pin("jsonargparse[signatures]>=4.51") == "jsonargparse[signatures]==4.51"
    assert lowest.pin("triton>=3.3; sys_platform == 'linux'") == "triton==3.3; sys_platform == 'linux'"


@pytest.mark.parametrize("requirement", ["torch", "torch>=2.7,<3", "torch==2.7"])
def test_a_requirement_without_a_plain_lower_bound_is_refused(requirement):
    with pytest.raises(ValueError, match="should be a name with one lower bound"):
        lowest.pin(requirement)
