"""What every benchmark shares: paired timing, peak memory, the machine, and tables in benchmarks/README.md."""

import multiprocessing
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from pathlib import Path

import torch

README = Path(__file__).parent / "README.md"


def machine(device: str = "cpu", *packages: str) -> str:
    """Describe what the numbers were measured on, with the versions of further packages."""
    model = "unknown processor"
    if device != "cpu":
        model = torch.cuda.get_device_name(device)
    elif Path("/proc/cpuinfo").exists():
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[1]
    versions = [f"torch {torch.__version__}", *(f"{package} {_version(package)}" for package in packages)]
    return ", ".join([model, f"{torch.get_num_threads()} threads", *versions, f"Python {platform.python_version()}"])


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def seconds(candidate: Callable[[], object], device: str = "cpu") -> float:
    """Time one call, on a GPU by its own clock."""
    if device == "cpu":
        start = time.perf_counter()
        candidate()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    candidate()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1e3


def interleaved(
    candidates: dict[str, Callable[[], object]], repeats: int, device: str = "cpu"
) -> dict[str, list[float]]:
    """Time the candidates in turn after one warm-up round: the seconds of each in every round."""
    rounds = [{name: seconds(call, device) for name, call in candidates.items()} for _ in range(repeats + 1)]
    return {name: [each[name] for each in rounds[1:]] for name in candidates}


def failures(candidates: dict[str, Callable[[], object]]) -> dict[str, str]:
    """Call each once: why those that fail do, in the first words of their error."""
    found = {}
    for name, candidate in candidates.items():
        try:
            candidate()
        except Exception as error:
            found[name] = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:90]}"
    return found


def ratio(times: dict[str, list[float]], ours: str, other: str) -> float:
    """Give the median over rounds of the ratio of two candidates, each pair run one after the other."""
    return statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))


def peak_bytes(script: str, *arguments: str) -> int:
    """Run a script in a fresh process and read the growth of its peak resident memory, which it prints."""
    run = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    return int(run.stdout.split()[-1])


def growth(step: Callable[[], object], device: str) -> int:
    """By how many bytes a step raises the peak of memory, of this process or of the GPU."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    before = resident(afresh=True)
    step()
    return resident() - before


def alone(function: Callable[..., int], *arguments: object) -> int:
    """Call a function of a module in a process of its own, which starts with its imports done."""
    # Arrays that are given back are given back to the system, so that none hides in what others left.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 17)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "trl.experimental.gkd"])
    threads = {"initializer": torch.set_num_threads, "initargs": (torch.get_num_threads(),)}
    with ProcessPoolExecutor(1, mp_context=context, **threads) as pool:
        return pool.submit(function, *arguments).result()


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


def publish(name: str, title: str, command: str, text: str, write: bool = True) -> None:
    """Print a result and put it into its section of benchmarks/README.md, unless it is not for keeping."""
    section = f"<!-- {name} -->\n## {title}\n\n`{command}`\n\n{text}\n<!-- /{name} -->"
    print(section)
    if not write:
        return
    old = README.read_text() if README.exists() else "# Benchmarks\n"
    pattern = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    new = pattern.sub(lambda _: section, old) if pattern.search(old) else f"{old.rstrip()}\n\n{section}\n"
    README.write_text(new)
