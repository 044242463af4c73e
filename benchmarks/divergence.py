"""Time, memory and error of the divergence from logits, compared with everything else that computes it.

python benchmarks/divergence.py                              CPU, float32, all sizes
python benchmarks/divergence.py --quick                      two small sizes, printed only
python benchmarks/divergence.py --rows 512 --classes 50257   sizes of your own
python benchmarks/divergence.py --device cuda                GPU, bfloat16, all rows counted and half of them
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from itertools import product

import torch
from torch import Tensor

from _command import DTYPES, dtype_name, label, measure_if_it_fits, parse, parser
from _inputs import logits
from _memory import alone, growth
from _peers import BY_ROW, CONTEXT, FORWARD, MIXTURE, PACKAGES, POINTS, Loss, candidates, unfused
from _report import machine, publish, table
from _timing import Call, failures, interleaved, milliseconds, ratio

SIZES = {
    "cpu": ([128, 512, 2048], [100, 1000, 32000, 50257]),
    "cuda": ([2048, 8192, 32768], [32000, 128256, 151936]),
}
QUICK = ([128], [100, 1000])
MASKED = {"cpu": [0], "cuda": [0, 50]}
SECTIONS = {
    "cpu": ("divergence", "The divergence on a CPU"),
    "cuda": ("divergence_cuda", "The divergence on a GPU"),
}
MEMORY_POINTS = (FORWARD, "(0.2, 0.7)", BY_ROW, MIXTURE)
# With fewer logits, other growth of a process would hide theirs.
MEASURABLE = 4_000_000
LIMIT = "same bytes"
COMPILED = "torch.compile"
# Number of rows whose values are compared with float64.
COMPARED = 256


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
    """Compare value and gradient of the first rows with float64, relative to the value and the largest entry."""
    student = student.detach()[:COMPARED]
    teacher = teacher[:COMPARED]
    value, gradient = _results(lambda x: loss(x, teacher, None), student.clone())
    exact, slope = _results(lambda x: unfused(x, teacher.double(), point, torch.float64), student.double())
    of_gradient = (gradient - slope).abs().max() / slope.abs().max()
    return ((value - exact) / exact).abs().item(), of_gradient.item()


def _results(function: Callable[[Tensor], Tensor], student: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the value and its gradient with respect to the student's logits."""
    student.requires_grad_()
    value = function(student)
    (gradient,) = torch.autograd.grad(value, student)
    return value.detach(), gradient


class Table:
    """The figures of one point: a row of times and one of memory for every size, and the largest errors."""

    def __init__(self, point: str, arguments: argparse.Namespace) -> None:
        self.point = point
        self.backends: list[str] = arguments.backends
        self.repeats: int = arguments.repeats
        self.device: str = arguments.device
        # Compiled code of another point counts against the limit of this one.
        torch.compiler.reset()
        self.losses = candidates(point, self.backends, self.device)
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
        self.failed |= failed
        working: dict[str, Call] = {name: call for name, call in calls.items() if name not in failed}
        copy = partial(limit, student, teacher, rows if mask is None else int(mask.sum()))
        size = label((rows, classes)) + (f", {masked} % masked" if masked else "")
        self.times.append([size, *self._times(working, copy)])
        for name in working.keys() - {CONTEXT}:
            self.errors[name].append(errors(self.losses[name], self.point, student, teacher))
        if self.point in MEMORY_POINTS and rows * classes >= MEASURABLE:
            self.memory.append([size, *self._peaks(working, student)])

    def _times(self, calls: dict[str, Call], copy: Call) -> list[str]:
        """Time all in turn: ours, and its ratio to each."""
        compiled = {name: call for name, call in calls.items() if name == COMPILED}
        others = {name: call for name, call in calls.items() if name != COMPILED}
        found = interleaved({**others, LIMIT: copy}, self.repeats, self.device)
        pair: dict[str, list[float]] = {}
        if compiled:
            # Compiled code has threads of its own, which stay awake and take the CPU from whatever comes next.
            pair = interleaved({"ours": calls["ours"], **compiled}, self.repeats, self.device)
        return [_cell(name, pair if name == COMPILED else found) for name in (*self.losses, LIMIT)]

    def _peaks(self, calls: dict[str, Call], student: Tensor) -> list[str]:
        """Measure the peak memory of each, on a CPU in a process of its own, in sizes of the student's logits."""
        rows, classes = student.shape
        cells = []
        for name in self.losses:
            if name not in calls:
                cells.append("failed")
                continue
            student.grad = None
            if self.device == "cpu":
                grown = alone(peak, self.point, name, rows, classes, self.backends)
            else:
                grown = growth(calls[name], self.device)
            cells.append(f"{grown / (student.numel() * student.element_size()):.2f}")
        return cells

    def text(self) -> str:
        """Lay out what was measured."""
        names = [*self.losses]
        ratios = [f"ours / {name}" for name in (*names[1:], LIMIT)]
        parts = [f"### {self.point}", table(["time", "ours", *ratios], self.times)]
        if self.memory:
            parts.append(table(["memory", *names], self.memory))
        largest = [_largest(self.errors[name]) for name in names]
        parts.append(table(["error", *names], [["value / gradient", *largest]]))
        return "\n\n".join(parts + [f"{name} failed: {why}" for name, why in self.failed.items()])


def _cell(name: str, times: Mapping[str, list[float]]) -> str:
    if name not in times or "ours" not in times:
        return "failed"
    return f"{milliseconds(times[name]):.3g} ms" if name == "ours" else f"{ratio(times, 'ours', name):.2f}"


def _largest(found: list[tuple[float, float]]) -> str:
    """Write the largest error of values and that of gradients."""
    return " / ".join(f"{max(each):.0e}" for each in zip(*found, strict=True)) if found else "–"


def measured(point: str, arguments: argparse.Namespace) -> str:
    """Measure all sizes of a point, and lay them out."""
    rows, classes = QUICK if arguments.quick else SIZES[arguments.device]
    masked = arguments.masked or MASKED[arguments.device]
    found = Table(point, arguments)
    for size in product(arguments.rows or rows, arguments.classes or classes, masked):
        measure_if_it_fits(partial(found.measure, *size), point, label(size[:2]), found.failed)
    return found.text()


def explanation(arguments: argparse.Namespace) -> str:
    """Describe what the tables hold."""
    return (
        f"{dtype_name(arguments.device)}, forward and backward, median of {arguments.repeats} rounds in which all take "
        "turns, compiled torch with ours alone. Time: ours, and its ratio to the others (below 1 is faster). The last "
        "of them only adds both logits into a new tensor, which is traffic that no loss can save. Memory: peak beyond "
        "the inputs in sizes of the student's logits, the gradient included. Error: the largest against float64 over "
        f"all sizes, of the value relative to it and of the gradient relative to its largest entry, on {COMPARED} "
        "rows. Logits are Gaussian hidden states times a Gaussian head, with entropies of two nats; α + β = 1.1 where "
        f"every row has its own. {machine(arguments.device, *PACKAGES)}."
    )


def main(options: list[str] | None = None) -> None:
    """Write the tables."""
    accepted = parser("divergence.py", __doc__)
    accepted.add_argument("--rows", type=int, nargs="+", help="default: those of the device")
    accepted.add_argument("--classes", type=int, nargs="+", help="default: those of the device")
    accepted.add_argument("--masked", type=int, nargs="+", help="percent of the rows that do not count")
    accepted.add_argument("--points", nargs="+", choices=POINTS, default=POINTS)
    accepted.add_argument("--backends", nargs="+", default=[], help="of the α-β-divergence, beside its own choice")
    arguments = parse(accepted, options)
    text = "\n\n".join([explanation(arguments), *(measured(point, arguments) for point in arguments.points)])
    name, title = SECTIONS[arguments.device]
    publish(name, title, arguments.command, text, write=not arguments.quick)


if __name__ == "__main__":
    main()
