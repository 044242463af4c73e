import re
import tomllib

import yaml

from tests import _pages as pages

README = (pages.ROOT / "README.md").read_text()
PROJECT = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())["project"]


def lines(block):
    return len([line for line in block.splitlines() if line])


def test_readme_is_read_in_one_sitting():
    assert len(README.splitlines()) <= 200


def test_first_program_has_at_most_fifteen_lines_and_own_divergence_ten():
    first, own = pages.blocks(README, "python")[:2]
    assert "trainer.fit" in first
    assert lines(first) <= 15
    assert "Divergence)" in own
    assert lines(own) <= 10


def test_first_config_is_a_whole_run():
    (config,) = pages.blocks(README, "yaml")
    assert yaml.safe_load(config).keys() >= {"trainer", "model", "data"}


def test_contents_name_every_section():
    contents = re.search(r"^\*\*Contents:\*\*(.*?)\n\n", README, re.DOTALL | re.MULTILINE)[1]
    sections = pages.anchors(README) - {"lightning_abkd"}
    assert {link[1:] for link in pages.links(contents) if link.startswith("#")} == sections


def test_wheel_and_extras_are_those_of_the_project():
    wheels = re.findall(r"lightning_abkd-([\d.]+)-py3-none-any\.whl\[([\w,]+)\]", README)
    assert wheels
    assert {version for version, _ in wheels} == {PROJECT["version"]}
    extras = {extra for _, found in wheels for extra in found.split(",")} | set(re.findall(r"`\[(\w+)\]`", README))
    assert extras <= PROJECT["optional-dependencies"].keys()


def test_losses_of_the_readme_are_those_of_the_package():
    from lightning_abkd import losses

    listed = set(re.findall(r"^\| `(\w+)` \|", README, re.MULTILINE))
    classes = {name for name in losses.__all__ if isinstance(getattr(losses, name), type)}
    of_losses = {name for name in classes if issubclass(getattr(losses, name), losses.DistillationLoss)}
    assert listed == of_losses - {"DistillationLoss", "Divergence"}
