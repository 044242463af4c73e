"""Print every dependency that pyproject.toml declares at its lower bound, for `make test-lowest`."""

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Extras that the tests need: linters, builders and peers of the benchmarks say nothing about the library.
EXTRAS = ("quickstart", "vision", "language", "test")
BOUND = re.compile(r"(?P<name>[\w.-]+)(?P<extras>\[[^\]]*\])?>=(?P<version>[\w.]+)(?P<marker>;.*)?")


def lowest(requirements: Iterable[str]) -> Iterator[str]:
    """Pin each requirement of the form `name>=version` to that version."""
    for requirement in requirements:
        if requirement.startswith("lightning-abkd["):
            continue
        bound = BOUND.fullmatch(requirement.strip())
        if bound is None:
            raise ValueError(f"A requirement should have one lower bound. Found {requirement!r}.")
        yield f"{bound['name']}{bound['extras'] or ''}=={bound['version']}{bound['marker'] or ''}"


def pins(pyproject: Path) -> list[str]:
    """Return the pins of the dependencies and of the extras that the tests use."""
    project = tomllib.loads(pyproject.read_text())["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in EXTRAS)]
    return [pin for group in groups for pin in lowest(group)]


if __name__ == "__main__":
    sys.stdout.write("\n".join(pins(ROOT / "pyproject.toml")) + "\n")
