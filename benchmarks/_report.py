"""What every benchmark shares: paired timing, peak memory, the machine, and tables in benchmarks/README.md."""

import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

README = Path(__file__).parent / "README.md"


def machine() -> str:
    """Describe what the numbers were measured on."""
    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    return f"{model}, {torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}"


def interleaved(candidates: dict[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Time the candidates in turn after one warm-up round: the seconds of each in every round."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for round_ in range(repeats + 1):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            candidate()
            if round_:
                times[name].append(time.perf_counter() - start)
    return times


def ratio(times: dict[str, list[float]], ours: str, other: str) -> float:
    """Give the median over rounds of the ratio of two candidates, each pair run one after the other."""
    return statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))


def peak_bytes(script: str, *arguments: str) -> int:
    """Run a script in a fresh process and read the growth of its peak resident memory, which it prints."""
    run = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    return int(run.stdout.split()[-1])


def resident(afresh: bool = False) -> int:
    """Peak resident memory of this process, in bytes; a child's rusage would begin with its parent's.

    `afresh` forgets the peak so far, where Linux allows it: what made the inputs does not hide what comes after.
    """
    if afresh and Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
    if Path("/proc/self/status").exists():
        return int(re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def table(header: list[str], rows: list[list[str]]) -> str:
    """Lay out a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def publish(name: str, title: str, command: str, text: str) -> None:
    """Print a result and put it into its section of benchmarks/README.md."""
    section = f"<!-- {name} -->\n## {title}\n\n`{command}`\n\n{text}\n<!-- /{name} -->"
    print(section)
    old = README.read_text() if README.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}\n"
    README.write_text(new)
