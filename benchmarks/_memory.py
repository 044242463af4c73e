"""Peak memory of a call beyond its inputs, in this process, in a fresh one or on a GPU."""

import multiprocessing
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from _timing import Call

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def resident(afresh: bool = False) -> int:
    """Return the peak resident memory of this process in bytes.

    The resource usage of a child would begin with its parent's, so Linux's own number is read where there is one.

    Args:
        afresh: Forget the peak so far, where Linux allows it, so that the peak of making the inputs hides nothing.
    """
    if afresh and _CLEAR.exists():
        _CLEAR.write_text("5")
    found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text()) if _STATUS.exists() else None
    if found:
        return int(found[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def growth(step: Call, device: str) -> int:
    """Measure by how many bytes a step raises the peak memory of this process or of the GPU."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return torch.cuda.max_memory_allocated() - before
    before = resident(afresh=True)
    step()
    return resident() - before


def alone(function: Callable[..., int], *arguments: object) -> int:
    """Call a module's function in a process of its own, which starts with its imports done."""
    # Freed arrays go back to the system, so that no array reuses memory that was counted before.
    os.environ["MALLOC_MMAP_THRESHOLD_"] = str(1 << 17)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", "lightning_abkd.losses", "trl.experimental.gkd"])
    threads = torch.get_num_threads()
    with ProcessPoolExecutor(1, context, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        return pool.submit(function, *arguments).result()


def peak_bytes(script: str, *arguments: str) -> int:
    """Run a script in a fresh process and read the growth of its peak resident memory, which it prints."""
    run = subprocess.run([sys.executable, script, *arguments], check=True, capture_output=True, text=True)
    return int(run.stdout.split()[-1])
