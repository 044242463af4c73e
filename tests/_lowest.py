"""The oldest versions that pyproject.toml allows, as requirements for `make test-lowest`."""

import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

# Linters and the benchmarks' peers do not show whether the library works.
EXTRAS = ("quickstart", "vision", "language", "test")
BOUND = re.compile(r"(?P<package>[\w.-]+(?:\[[\w,-]+\])?)>=(?P<version>[\w.]+)(?P<marker>;.*)?")


def pin(requirement: str) -> str:
    """Turn `name>=version` into `name==version`."""
    bound = BOUND.fullmatch(requirement)
    if bound is None:
        raise ValueError(f"A requirement should be a name with one lower bound. Found {requirement!r}.")
    return f"{bound['package']}=={bound['version']}{bound['marker'] or ''}"


def pins(pyproject: str, extras: Iterable[str] = EXTRAS) -> list[str]:
    """Pin the dependencies and the extras of a pyproject.toml, given as text."""
    project = tomllib.loads(pyproject)["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [pin(requirement) for group in groups for requirement in group]


if __name__ == "__main__":
    text = (Path(__file__).parent.parent / "pyproject.toml").read_text()
    sys.stdout.write("".join(f"{line}\n" for line in pins(text)))
