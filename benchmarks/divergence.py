"""Time, memory and error of the divergence from logits against everything else that computes it.

python benchmarks/divergence.py                              processor, float32, all sizes
python benchmarks/divergence.py --quick                      two small sizes, printed only
python benchmarks/divergence.py --rows 512 --classes 50257   sizes of your own
python benchmarks/divergence.py --device cuda                GPU, bfloat16, all rows counted and half of them
"""

import argparse
import shlex
import statistics
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import torch
from torch import Tensor

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _inputs import logits
from _peers import BY_ROW, CONTEXT, FORWARD, MIXTURE, PACKAGES, POINTS, Loss, candidates, unfused
from _report import alone, failures, growth, interleaved, machine, publish, ratio, table

SIZES = {
    "cpu": ([128, 512, 2048], [100, 1000, 32000, 50257]),
    "cuda": ([2048, 8192, 32768], [32000, 128256, 151936]),
}
QUICK = ([128], [100, 1000])
SECTIONS = {
    "cpu": ("divergence", "The divergence on a processor"),
    "cuda": ("divergence_cuda", "The divergence on a GPU"),
}
DTYPES = {"cpu": torch.float32, "cuda": torch.bfloat16}
MEMORY_POINTS = (FORWARD, "(0.2, 0.7)", BY_ROW, MIXTURE)
# Below, a process grows by more than the logits for reasons of its own.
MEASURABLE = 4_000_000
LIMIT, COMPILED = "same bytes", "torch.compile"


def step(loss: Loss, student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> None:
    """Run one forward and backward pass."""
    student.grad = None
    loss(student, teacher, mask).backward()


def limit(student: Tensor, teacher: Tensor, count: int) -> None:
    """Move the bytes that must move: read as many rows of both as count, write the gradient of all."""
    student = student.detach()
    if count == len(student):
        student.add(teacher)
    else:
        torch.add(student[:count], teacher[:count], out=torch.zeros_like(student)[:count])


def peak(point: str, name: str, rows: int, classes: int, backends: list[str]) -> int:
    """Measure by how many bytes a pass raises the peak of this process above its inputs."""
    loss = candidates(point, backends)[name]
    # Few rows, but as wide, so that nothing is compiled anew for what follows.
    step(loss, *logits(2, classes))
    return growth(partial(step, loss, *logits(rows, classes)), "cpu")


def errors(loss: Loss, point: str, student: Tensor, teacher: Tensor) -> tuple[float, float]:
    """Compare value and gradient of the first 256 rows with float64, relative to the value and the largest entry."""
    student, teacher = student.detach()[:256], teacher[:256]
    found, leaf = student.clone().requires_grad_(), student.double().requires_grad_()
    value, exact = loss(found, teacher, None), unfused(leaf, teacher.double(), point, torch.float64)
    value.backward()
    exact.backward()
    gradient = (found.grad - leaf.grad).abs().max() / leaf.grad.abs().max()
    return ((value - exact) / exact).abs().item(), gradient.item()


class Table:
    """The figures of one point: a row of times and one of memory for every size, and the largest errors."""

    def __init__(self, point: str, arguments: argparse.Namespace) -> None:
        self.point, self.arguments, self.device = point, arguments, arguments.device
        # Compiled code of another point counts against the limit of this one.
        torch.compiler.reset()
        self.losses = candidates(point, arguments.backends, self.device)
        self.times: list[list[str]] = []
        self.memory: list[list[str]] = []
        self.errors: dict[str, list[tuple[float, float]]] = {name: [] for name in self.losses}
        self.failed: dict[str, str] = {}

    def measure(self, rows: int, classes: int, masked: int) -> None:
        """Add a size."""
        student, teacher = logits(rows, classes, self.device, DTYPES[self.device])
        mask = torch.rand(rows, device=self.device) >= masked / 100 if masked else None
        calls = {name: partial(step, loss, student, teacher, mask) for name, loss in self.losses.items()}
        failed = failures(calls)
        works = {name: call for name, call in calls.items() if name not in failed}
        copy = partial(limit, student, teacher, rows if mask is None else int(mask.sum()))
        compiled = {name: works.pop(name) for name in (COMPILED,) if name in works}
        times = interleaved(works | {LIMIT: copy}, self.arguments.repeats, self.device)
        # Compiled code has threads of its own, which stay awake and take the processor from whoever comes next.
        pair = interleaved({"ours": works["ours"]} | compiled, self.arguments.repeats, self.device) if compiled else {}
        works |= compiled
        size = f"{rows}×{classes}" + (f", {masked} % masked" if masked else "")
        self.times.append([size, *(_time(name, pair if name == COMPILED else times) for name in (*calls, LIMIT))])
        for name in works.keys() - {CONTEXT}:
            self.errors[name].append(errors(self.losses[name], self.point, student, teacher))
        self.failed |= failed
        if self.point in MEMORY_POINTS and rows * classes >= MEASURABLE:
            cells, unit = [], student.numel() * student.element_size()
            for name in calls:
                student.grad = None
                cells.append(
                    f"{self._peak(works[name], name, rows, classes) / unit:.2f}" if name in works else "failed"
                )
            self.memory.append([size, *cells])

    def _peak(self, call: Callable[[], None], name: str, rows: int, classes: int) -> int:
        if self.device != "cpu":
            return growth(call, self.device)
        return alone(peak, self.point, name, rows, classes, self.arguments.backends)

    def text(self) -> str:
        """Lay out what was measured."""
        names = [*self.losses]
        parts = [
            f"### {self.point}",
            table(["time", "ours", *(f"ours / {n}" for n in (*names[1:], LIMIT))], self.times),
        ]
        if self.memory:
            parts.append(table(["memory", *names], self.memory))
        largest = {name: torch.tensor(found).amax(0).tolist() for name, found in self.errors.items() if found}
        cells = [" / ".join(f"{x:.0e}" for x in largest[name]) if name in largest else "–" for name in names]
        parts.append(table(["error", *names], [["value / gradient", *cells]]))
        parts += [f"{name} failed: {why}" for name, why in self.failed.items()]
        return "\n\n".join(parts)


def _time(name: str, times: dict[str, list[float]]) -> str:
    if name not in times or "ours" not in times:
        return "failed"
    return f"{statistics.median(times[name]) * 1e3:.3g} ms" if name == "ours" else f"{ratio(times, 'ours', name):.2f}"


def main(options: list[str] | None = None) -> None:
    """Write the tables."""
    options = sys.argv[1:] if options is None else options
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(SIZES), default="cpu")
    parser.add_argument("--rows", type=int, nargs="+", help="default: those of the device")
    parser.add_argument("--classes", type=int, nargs="+", help="default: those of the device")
    parser.add_argument("--masked", type=int, nargs="+", help="percent of the rows that do not count")
    parser.add_argument("--points", nargs="+", choices=POINTS, default=POINTS)
    parser.add_argument("--backends", nargs="+", default=[], help="of the α-β-divergence, beside its own choice")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="two small sizes, printed only")
    arguments = parser.parse_args(options)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    rows, classes = QUICK if arguments.quick else SIZES[arguments.device]
    masked = arguments.masked or ([0] if arguments.device == "cpu" else [0, 50])
    sizes = [*product(arguments.rows or rows, arguments.classes or classes, masked)]
    texts = []
    for point in arguments.points:
        found = Table(point, arguments)
        for size in sizes:
            print(point, *size, file=sys.stderr)
            try:
                found.measure(*size)
            except torch.OutOfMemoryError:
                found.failed["×".join(map(str, size[:2]))] = "does not fit"
        texts.append(found.text())
    dtype = str(DTYPES[arguments.device]).removeprefix("torch.")
    text = (
        f"{dtype}, forward and backward, median of {arguments.repeats} rounds in which all take turns, compiled torch "
        f"with ours alone. Time: ours, and its ratio to the others (below 1 is faster), the last of which adds both "
        "logits into a new tensor, the traffic that cannot be saved. Memory: peak beyond the inputs in sizes of the "
        "student's logits, the gradient included. Error: the largest against float64 over all sizes, of the value "
        "relative to it and of the gradient relative to its largest entry, on 256 rows. Logits are Gaussian hidden "
        "states times a Gaussian head, with entropies of two nats; α + β = 1.1 where every row has its own. "
        f"{machine(arguments.device, *PACKAGES)}.\n\n"
    )
    command = shlex.join(["python", "benchmarks/divergence.py", *options])
    publish(*SECTIONS[arguments.device], command, text + "\n\n".join(texts), write=not arguments.quick)


if __name__ == "__main__":
    main()
