"""Paired timing: candidates take turns, so that other work of the machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping

import torch

Call = Callable[[], object]


def seconds(candidate: Call, device: str = "cpu") -> float:
    """Time one call, on a GPU by its own clock."""
    if device == "cpu":
        start = time.perf_counter()
        candidate()
        return time.perf_counter() - start
    begin = torch.cuda.Event(enable_timing=True)
    end = torch.cuda.Event(enable_timing=True)
    begin.record()
    candidate()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def interleaved(candidates: Mapping[str, Call], repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Time the candidates in turn after one warm-up round, and return the seconds of each in every round."""
    rounds = [{name: seconds(call, device) for name, call in candidates.items()} for _ in range(repeats + 1)]
    return {name: [each[name] for each in rounds[1:]] for name in candidates}


def failures(candidates: Mapping[str, Call]) -> dict[str, str]:
    """Call each candidate once, and return the first words of the error of those that fail."""
    found = {}
    for name, candidate in candidates.items():
        try:
            candidate()
        except Exception as error:
            found[name] = reason(error)
    return found


def reason(error: Exception) -> str:
    """Return the class and the first words of an error."""
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0][:90]}"


def ratio(times: Mapping[str, list[float]], ours: str, other: str) -> float:
    """Compute the median over rounds of the ratio of two candidates, which ran one after the other."""
    return statistics.median(a / b for a, b in zip(times[ours], times[other], strict=True))


def milliseconds(times: list[float]) -> float:
    """Compute the median in milliseconds."""
    return statistics.median(times) * 1e3
