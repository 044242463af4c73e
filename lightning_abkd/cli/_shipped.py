"""The configs that come with the package: their list, their text, copies, and `abkd:` addresses."""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten

from lightning_abkd.cli._errors import fail
from lightning_abkd.cli._similar import did_you_mean

ADDRESS = "abkd:"
_COLUMNS = 80
_PACKAGE = Path(__file__).parent.parent


def configs_command(arguments: Sequence[str]) -> None:
    """Run `abkd configs`: list the shipped configs, print one, or copy one or a whole folder of them."""
    parser = argparse.ArgumentParser(
        prog="abkd configs",
        description="List the configs that come with the package; print one, or copy it.",
        epilog="`abkd fit --config abkd:NAME` takes one as it is, and several are applied in their order.",
    )
    parser.add_argument("name", nargs="?", help="config or folder of configs, such as quickstart/student or cifar100")
    parser.add_argument("--to", metavar="DIR", help="copy into this folder instead of printing")
    given = parser.parse_args(arguments)
    if given.to is not None:
        sys.stdout.write(_copy(given.name, Path(given.to)))
    elif given.name is None or _folder(given.name):
        sys.stdout.write(_listing(given.name))
    else:
        sys.stdout.write(_path(given.name).read_text(encoding="utf-8"))


def shipped_path(config: str) -> str:
    """Return the file of an address such as `abkd:cifar100/base`; any other name of a config is returned as it is."""
    return str(_path(config.removeprefix(ADDRESS))) if config.startswith(ADDRESS) else config


def shipped_configs() -> list[str]:
    """Return the names of all configs that come with the package."""
    root = _root()
    return sorted(path.relative_to(root).with_suffix("").as_posix() for path in root.rglob("*.yaml"))


def _root() -> Path:
    """Return the folder of the configs: in a wheel inside the package, in a clone beside it."""
    inside = _PACKAGE / "configs"
    return inside if inside.is_dir() else _PACKAGE.parent / "configs"


def _folder(name: str) -> list[str]:
    """Return the configs below a folder, none if it is not one."""
    return [each for each in shipped_configs() if each.startswith(f"{name.strip('/')}/")]


def _path(name: str) -> Path:
    plain = name.removesuffix(".yaml").removeprefix("configs/").strip("/")
    known = shipped_configs()
    if plain in known:
        return _root() / f"{plain}.yaml"
    hint = did_you_mean(plain, known, "`abkd configs` lists them.", cutoff=0.5)
    fail(f"Found no config {name!r} in the package. {hint}")


def _copy(name: str | None, target: Path) -> str:
    """Copy a config, a folder of them, or all, keeping their folders; return which files were written."""
    below = shipped_configs() if name is None else _folder(name)
    paths = [_root() / f"{each}.yaml" for each in below] or [_path(str(name))]
    written = {path: target / path.relative_to(_root()) for path in paths}
    if there := [str(path) for path in written.values() if os.path.lexists(path)]:
        fail(f"Option `--to` should leave files as they are. Found {there[0]}. Choose another folder.")
    for path, copy in written.items():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    return "".join(f"{path}\n" for path in written.values())


def _listing(folder: str | None) -> str:
    """Lay out one line for each config: its name, and what its head says first."""
    names = shipped_configs() if folder is None else _folder(folder)
    width = max(map(len, names))
    room = _COLUMNS - width - 2
    return "".join(f"{name:{width}}  {shorten(_summary(name), room, placeholder=' …')}\n" for name in names)


def _summary(name: str) -> str:
    text = (_root() / f"{name}.yaml").read_text(encoding="utf-8")
    head = " ".join(line.lstrip("# ") for line in text.split("\n")[:2] if line.startswith("#"))
    # What it is applied on top of, and the command, are for those who open the file.
    return re.split(r"[;.] [Aa]pplied on top of|: +abkd |(?<=[a-z]{3})\. ", head)[0].rstrip(".:")
