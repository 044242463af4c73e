"""What the comparisons with the peers share on the command line: options, sizes that do not fit, and the command."""

import argparse
import shlex
import sys
from collections.abc import Callable, Iterable

import torch

# The dtype that each device computes in.
DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}


def parser(script: str, description: str | None) -> argparse.ArgumentParser:
    """Build the parser of a script of this folder, with the options that all comparisons have."""
    built = argparse.ArgumentParser(
        prog=f"benchmarks/{script}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    built.add_argument("--device", choices=list(DTYPES), default="cpu")
    built.add_argument("--repeats", type=int, default=5, help="rounds in which all take turns")
    built.add_argument("--threads", type=int, default=2)
    built.add_argument("--quick", action="store_true", help="small sizes, printed only")
    return built


def parse(built: argparse.ArgumentParser, options: list[str] | None) -> argparse.Namespace:
    """Parse the options, None for those of this process, and set threads and seed."""
    options = sys.argv[1:] if options is None else options
    arguments = built.parse_args(options)
    arguments.command = shlex.join(["python", built.prog, *options])
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    return arguments


def dtype_name(device: str) -> str:
    """Return the name of the type that a device computes in."""
    return str(DTYPES[device]).removeprefix("torch.")


def label(size: Iterable[int]) -> str:
    """Write a size as numbers with × between them."""
    return "×".join(map(str, size))


def measure_if_it_fits(measure: Callable[[], None], case: str, size: str, failed: dict[str, str]) -> None:
    """Measure a case, or note that its size does not fit into memory."""
    print(case, size, file=sys.stderr)
    try:
        measure()
    except torch.OutOfMemoryError:
        failed[size] = "does not fit"
