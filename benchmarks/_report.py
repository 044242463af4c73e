"""How results are written: the machine, Markdown tables, and the sections of benchmarks/README.md."""

import platform
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import torch

README = Path(__file__).parent / "README.md"
_CPU = Path("/proc/cpuinfo")


def machine(device: str = "cpu", *packages: str) -> str:
    """Describe what the numbers were measured on, with the versions of further packages."""
    versions = [f"{package} {_version(package)}" for package in packages]
    threads = f"{torch.get_num_threads()} threads"
    return ", ".join([_model(device), threads, f"torch {torch.__version__}", *versions, _python()])


def _model(device: str) -> str:
    if device != "cpu":
        return torch.cuda.get_device_name(device)
    found = re.search(r"model name\s*: (.*)", _CPU.read_text()) if _CPU.exists() else None
    return found[1] if found else "unknown CPU"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def _python() -> str:
    return f"Python {platform.python_version()}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def publish(name: str, title: str, command: str, text: str, write: bool = True) -> None:
    """Print a result and, if asked to, write it into its section of benchmarks/README.md."""
    section = f"<!-- {name} -->\n## {title}\n\n`{command}`\n\n{text}\n<!-- /{name} -->"
    print(section)
    if not write:
        return
    old = README.read_text() if README.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    found = pattern.search(old)
    new = pattern.sub(lambda _: section, old) if found else f"{old.rstrip()}\n\n{section}\n"
    README.write_text(new)
