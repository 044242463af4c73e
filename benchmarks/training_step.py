"""A training step compared with bare loops, plain Lightning and TRL's loss: python benchmarks/training_step.py.

`--device cuda` takes larger batches in bfloat16, `--tiny` only shows that everything runs, and `--compiled` adds rows
with a compiled teacher.
"""

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from _memory import peak_bytes, resident
from _pairs import SIZES, TINY, Sizes, language, vision
from _report import machine, publish, table
from _stopwatch import Stopwatch
from _timing import ratio, reason
from _training import Clock, silence
from _ways import OURS, Pair, Run

# What `make demo-language` leaves.
DEMO_TEACHER = Path(__file__).parent.parent / "runs" / "demo-language" / "model"


def sizes_of(options: argparse.Namespace) -> Sizes:
    """Choose the sizes."""
    return TINY if options.tiny else SIZES[options.device]


def pair_of(name: str, options: argparse.Namespace) -> Pair[Any]:
    """Build one of both pairs."""
    if name == "vision":
        return vision(sizes_of(options), options.device, options.steps)
    return language(sizes_of(options), options.device, options.steps, options.teacher)


def print_memory(pair: Pair[Any], way: Callable[[], Run]) -> None:
    """Print by how many bytes training raises the peak above networks and batches."""
    run = way()
    on_gpu = pair.device != "cpu"
    for network in (run.teacher, pair.student):
        network.to(pair.device)
    before = torch.cuda.memory_allocated() if on_gpu else resident(afresh=True)
    run.train(Clock(pair.device))
    print((torch.cuda.max_memory_allocated() if on_gpu else resident()) - before)


def watched(pair: Pair[Any], way: Callable[[], Run]) -> tuple[Run, list[str]]:
    """Build a way and train once under a stopwatch, and return it with the shares of a step's parts."""
    run = way()
    watch = Stopwatch(pair.device)
    with watch.on(run.teacher, pair.student):
        run.train(watch)
    return run, watch.shares()


def take_turns(runs: dict[str, Run], device: str, rounds: int) -> dict[str, list[float]]:
    """Train by all ways in turn, and return the seconds of a step in every round."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            clock = Clock(device)
            run.train(clock)
            times[name].append(clock.seconds())
    return times


def measure(pair: Pair[Any], compiled: bool, rounds: int, peak: Callable[[str], int]) -> str:
    """Let all ways take turns, and lay out the figures of those that run and why the others do not."""
    runs: dict[str, Run] = {}
    shares: dict[str, list[str]] = {}
    failed = []
    for name, way in pair.ways(compiled).items():
        try:
            runs[name], shares[name] = watched(pair, way)
        except Exception as error:
            # A peer may fail in any way.
            failed.append([name, f"failed: {reason(error)}", *[""] * 6])
    times = take_turns(runs, pair.device, rounds)
    measured = []
    for name in runs:
        speed = pair.count / statistics.median(times[name])
        memory = f"{peak(name) / 2**20:.0f} MiB"
        measured.append([name, f"{speed:.0f}", f"{ratio(times, name, OURS):.3f}", memory, *shares[name]])
    header = ["", f"{pair.unit}/s", "time / ours", "peak memory", "teacher", "student", "loss", "rest"]
    return table(header, measured + failed)


def arguments(command: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(SIZES), default="cpu")
    parser.add_argument("--rounds", type=int, default=7, help="rounds in which the candidates take turns")
    parser.add_argument("--steps", type=int, default=8, help="steps that are timed in each round")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--teacher", type=Path, default=DEMO_TEACHER, help="folder of SmolLM2-135M")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes; nothing is written")
    parser.add_argument("--compiled", action="store_true", help="add rows with a compiled teacher")
    parser.add_argument("--memory", nargs=2, metavar=("PAIR", "NAME"), help="measure the memory of one candidate")
    return parser.parse_args(command)


def peak(again: list[str], pair: str, way: str) -> int:
    """Measure the memory of one way in a process of its own."""
    return peak_bytes(__file__, *again, "--memory", pair, way)


def main(command: list[str] | None = None) -> None:
    """Write the tables of both pairs."""
    command = sys.argv[1:] if command is None else command
    options = arguments(command)
    torch.set_num_threads(options.threads)
    silence()
    if options.memory:
        name, way = options.memory
        pair = pair_of(name, options)
        print_memory(pair, pair.ways(options.compiled)[way])
        return
    tables = {}
    for name in ("vision", "language"):
        tables[name] = measure(pair_of(name, options), options.compiled, options.rounds, partial(peak, command, name))
    text = "\n\n".join([explanation(options), *described(tables, options)])
    if options.tiny:
        print(text)
    else:
        publish(*section(options.device), text)


def explanation(options: argparse.Namespace) -> str:
    """Describe what the tables hold."""
    on_gpu = options.device == "cuda"
    precision = "bfloat16 autocast" if on_gpu else "float32"
    where = f"{torch.cuda.get_device_name()}, {machine()}" if on_gpu else machine()
    return (
        f"{precision}; median of {options.rounds} rounds in which the candidates take turns, of the median of "
        f"{options.steps} steps in each; memory beyond networks and batches, gradients and the optimizer's state "
        "included. Student: forward and backward; loss: for language with both output layers, forward and backward; "
        f"rest: optimizer, data and trainer. Shares are of a run of their own. {where}."
    )


def described(tables: dict[str, str], options: argparse.Namespace) -> list[str]:
    """Write what was trained above each table."""
    sizes = sizes_of(options)
    weights = "its own weights" if options.teacher.exists() else "random weights of its sizes"
    images = f"{sizes.images} images of {sizes.side}×{sizes.side}"
    tokens = f"{sizes.sequences} sequences of {sizes.tokens} tokens, three quarters of them counted"
    return [
        f"ResNet-20 to ResNet-8, {images}, cross-entropy and KD, SGD:",
        tables["vision"],
        f"SmolLM2-135M with {weights} to its first {sizes.layers} layers, {tokens}, forward KL, AdamW:",
        tables["language"],
    ]


def section(device: str) -> tuple[str, str, str]:
    """Return name, title and command of the section."""
    command = "python benchmarks/training_step.py"
    if device == "cpu":
        return "training_step", "A training step", command
    return "training_step_gpu", "A training step on a GPU", f"{command} --device cuda"


if __name__ == "__main__":
    main()
