"""What the loss of a vocabulary on several processes tells them, compared with gathering the logits.

python benchmarks/vocabulary.py            two and four processes on a CPU, gloo, float32
python benchmarks/vocabulary.py --quick    a small size, printed only
"""

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing import get_context
from torch.multiprocessing.spawn import spawn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from _report import machine, publish, table
from lightning_abkd.distributed import whole
from lightning_abkd.losses import AlphaBetaDivergence

# Rows and classes.
Size = tuple[int, int]
SIZES: list[Size] = [(512, 32000), (256, 128256)]
QUICK: list[Size] = [(8, 100)]
PROCESSES = (2, 4)
# Bookkeeping of torch's collectives, which sends nothing.
_NOTHING_SENT = ("wait_tensor", "_wrap_tensor_autograd")


class Way(NamedTuple):
    """What one way to compute a loss and its gradient takes on a process."""

    calls: int
    bytes: int
    seconds: float
    value: float


@contextmanager
def counted() -> Iterator[list[int]]:
    """Collect the bytes of what each collective leaves on this process: what it reduces, or what it gathers."""
    found: list[int] = []

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> object:
            result = func(*args, **(kwargs or {}))
            name = func._schema.name.split("::")[1]
            if func.namespace in ("c10d", "_c10d_functional") and name not in _NOTHING_SENT:
                left = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
                found.append(sum(x.nbytes for x in left))
            return result

    with Counting():
        yield found


def sharded(student: Tensor, teacher: Tensor, loss: AlphaBetaDivergence) -> Tensor:
    """Compute the loss from the logits as they lie."""
    value: Tensor = loss(student, teacher)
    return value


def gathered(student: Tensor, teacher: Tensor, loss: AlphaBetaDivergence) -> Tensor:
    """Compute the loss from all logits, on each process."""
    value: Tensor = loss(whole(student), whole(teacher))
    return value


def measure(size: Size, repeats: int) -> dict[str, Way]:
    """Measure both ways in a group of processes that has been set up."""
    from torch.distributed.tensor import Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    generator = torch.Generator().manual_seed(0)
    logits = [torch.randn(size, generator=generator) * 2.0 for _ in range(2)]
    student, teacher = (distribute_tensor(x, mesh, [Shard(1)], src_data_rank=None) for x in logits)
    return {way.__name__: _measure_way(way, student, teacher, repeats) for way in (sharded, gathered)}


def _measure_way(way: Callable[..., Tensor], student: Tensor, teacher: Tensor, repeats: int) -> Way:
    loss = AlphaBetaDivergence(0.2, 0.7)
    leaf = student.detach().requires_grad_()
    with counted() as found:
        value = way(leaf, teacher, loss)
        value.backward()
    seconds = []
    for _ in range(repeats):
        leaf.grad = None
        dist.barrier()
        start = time.perf_counter()
        way(leaf, teacher, loss).backward()
        seconds.append(time.perf_counter() - start)
    return Way(len(found), sum(found), median(seconds), float(value.detach()))


def _process(rank: int, ranks: int, sizes: list[Size], repeats: int, store: str, results: Any) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=ranks)
    found = [measure(size, repeats) for size in sizes]
    if rank == 0:
        results.put(found)
    dist.destroy_process_group()


def on_processes(ranks: int, sizes: list[Size], repeats: int) -> list[dict[str, Way]]:
    """Measure both ways at each size on some processes."""
    results = get_context("spawn").SimpleQueue()
    with tempfile.TemporaryDirectory() as folder:
        spawn(_process, (ranks, sizes, repeats, f"{folder}/store", results), ranks)
    found: list[dict[str, Way]] = results.get()
    return found


def rows(ranks: int, size: Size, found: dict[str, Way]) -> list[str]:
    """Lay out the row of a table."""
    ours, theirs = found["sharded"], found["gathered"]
    return [
        str(ranks),
        f"{size[0]}×{size[1]}",
        f"{ours.calls} / {theirs.calls}",
        f"{ours.bytes / 2**10:,.1f} KiB",
        f"{theirs.bytes / 2**20:,.1f} MiB",
        f"{theirs.bytes / ours.bytes:,.0f}",
        f"{ours.seconds * 1e3:.0f} ms / {theirs.seconds * 1e3:.0f} ms",
        f"{abs(ours.value / theirs.value - 1.0):.1e}",
    ]


def main(options: list[str] | None = None) -> None:
    """Measure and publish."""
    arguments = _arguments(options)
    sizes = QUICK if arguments.quick else SIZES
    header = ["processes", "rows × classes", "collectives", "sharded", "gathered", "ratio", "time", "difference"]
    lines = [
        rows(ranks, size, found)
        for ranks in PROCESSES
        for size, found in zip(sizes, on_processes(ranks, sizes, arguments.repeats), strict=True)
    ]
    text = (
        "Value and gradient of the α-β-divergence (0.2, 0.7) of logits that are sharded over the vocabulary, in "
        "float32 over gloo. Sharded: as the library computes it. Gathered: both networks' logits first. Bytes: what "
        "all collectives of a forward and a backward pass leave on one process. Times: sharded / gathered, medians of "
        f"{arguments.repeats}, one thread a process, all on the same cores. Difference: of both values, relative.\n\n"
        f"{machine()}\n\n{table(header, lines)}"
    )
    publish("vocabulary", "A vocabulary on several processes", arguments.command, text, write=not arguments.quick)


def _arguments(options: list[str] | None) -> argparse.Namespace:
    options = sys.argv[1:] if options is None else options
    parser = argparse.ArgumentParser(
        prog="benchmarks/vocabulary.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="rounds that times are the medians of")
    parser.add_argument("--quick", action="store_true", help="a small size, printed only")
    arguments = parser.parse_args(options)
    arguments.command = shlex.join(["python", parser.prog, *options])
    return arguments


if __name__ == "__main__":
    main()
