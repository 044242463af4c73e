"""How time and memory of the divergence grow with classes and with rows, as a picture and a table.

python benchmarks/growth.py                  CPU, float32
python benchmarks/growth.py --quick          small sizes, printed and drawn into runs/growth.png
python benchmarks/growth.py --device cuda    GPU, bfloat16
"""

import argparse
import sys
from functools import partial
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from _command import DTYPES, dtype_name, label, parse, parser
from _inputs import logits
from _memory import alone, growth
from _peers import FORWARD, PACKAGES, candidates
from _report import machine, publish, table
from _timing import Call, failures, interleaved, milliseconds
from divergence import peak, step

ROOT = Path(__file__).parent.parent
POWERS = "(0.2, 0.7)"
WHAT = "Forward KL from logits and its gradient: random logits, T = 1"
OTHER = f"ours at {POWERS}"
# Rows and classes: in the first list the classes grow, in the second the rows.
SWEEPS = {
    "cpu": (
        [(256, classes) for classes in (512, 2048, 8192, 32768, 131072)],
        [(rows, 32000) for rows in (16, 64, 256, 1024, 4096)],
    ),
    "cuda": (
        [(8192, classes) for classes in (4096, 16384, 65536, 262144)],
        [(rows, 128256) for rows in (512, 2048, 8192, 32768)],
    ),
    "quick": ([(64, 1000), (64, 4000)], [(16, 4000), (64, 4000)]),
}
# Okabe & Ito 2008, distinguishable with colour blindness too; dashes and markers tell the lines apart in grey. Large
# hollow markers are seen around those of a line that lies upon theirs.
LINES = {
    "ours": ("#D55E00", "o-", 5),
    OTHER: ("#E69F00", "*:", 8),
    "torch": ("#000000", "s--", 11),
    "torch.compile": ("#000000", "s:", 9),
    "F.kl_div": ("#0072B2", "^-.", 6),
    "literal": ("#CC79A7", "v--", 6),
    "TRL": ("#009E73", "D--", 5),
    "Liger KL": ("#56B4E9", "X--", 6),
    "Liger JSD": ("#56B4E9", "P:", 6),
}
LARGE = 9
# The picture may stand alone, so that it names the library.
NAMES = {"ours": "lightning_abkd", OTHER: f"lightning_abkd at {POWERS}"}
# With fewer logits, other growth of a process hides that of its arrays.
SMALLEST = 250_000

# Milliseconds and MiB of each candidate, by rows and classes.
Figures = dict[tuple[int, int], dict[str, tuple[float, float]]]


def measure(rows: int, classes: int, device: str, repeats: int) -> dict[str, tuple[float, float]]:
    """Measure the median time of a forward and backward pass and its peak beyond the inputs, for all that runs."""
    torch.compiler.reset()
    student, teacher = logits(rows, classes, device, DTYPES[device])
    losses = candidates(FORWARD, (), device)
    losses[OTHER] = candidates(POWERS, (), device)["ours"]
    calls: dict[str, Call] = {name: partial(step, loss, student, teacher) for name, loss in losses.items()}
    for name, why in failures(calls).items():
        print(f"{name} failed: {why}", file=sys.stderr)
        del calls[name]
    times = interleaved(calls, repeats, device)
    figures = {}
    for name, call in calls.items():
        student.grad = None
        grown = _peak(name, rows, classes) if device == "cpu" else growth(call, device)
        figures[name] = milliseconds(times[name]), grown / 2**20
    return figures


def _peak(name: str, rows: int, classes: int) -> int:
    """Measure the peak of a candidate in a process of its own."""
    if name == OTHER:
        return alone(peak, POWERS, "ours", rows, classes, [])
    return alone(peak, FORWARD, name, rows, classes, [])


def shown(figures: Figures, name: str, growing: int, memory: bool) -> dict[int, float]:
    """Return the figures of a candidate by the number that grows, without memory that is too small to measure."""
    return {
        size[growing]: found[name][memory]
        for size, found in figures.items()
        if name in found and (not memory or size[0] * size[1] >= SMALLEST)
    }


def draw(axis: Axes, figures: Figures, growing: int, memory: bool) -> None:
    """Draw time or memory over the number that grows."""
    for name, (colour, style, size) in LINES.items():
        points = shown(figures, name, growing, memory)
        inside = "none" if size >= LARGE else colour
        look = {"color": colour, "markersize": size, "markerfacecolor": inside, "linewidth": 1.6}
        axis.loglog([*points], [*points.values()], style, label=NAMES.get(name, name), **look)
    axis.grid(which="major", alpha=0.4)
    axis.grid(which="minor", alpha=0.12)


def column(time: Axes, memory: Axes, figures: Figures, growing: int) -> None:
    """Draw time above memory over the number that grows, 0 for rows and 1 for classes."""
    draw(time, figures, growing, memory=False)
    draw(memory, figures, growing, memory=True)
    rows, classes = next(iter(figures))
    time.set_title(f"{rows:,} rows" if growing else f"{classes:,} classes")
    memory.set_xlabel("classes" if growing else "rows")
    sizes = [size[growing] for size in figures]
    memory.set_xticks(sizes, [f"{size:,}" for size in sizes])
    memory.tick_params(axis="x", which="minor", labelbottom=False)


def picture(path: Path, by_classes: Figures, by_rows: Figures, title: str) -> None:
    """Draw time above memory, over classes on the left and over rows on the right."""
    figure = Figure(figsize=(9, 8), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    column(axes[0, 0], axes[1, 0], by_classes, growing=1)
    column(axes[0, 1], axes[1, 1], by_rows, growing=0)
    axes[0, 0].set_ylabel("milliseconds, forward and backward")
    axes[1, 0].set_ylabel("peak MiB beyond the inputs")
    measured = {NAMES.get(name, name) for found in (by_classes | by_rows).values() for name in found}
    handles = [line for line in axes[0, 0].lines if line.get_label() in measured]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def rows_of(figures: Figures) -> list[list[str]]:
    """Lay out one size after the other."""
    return [[label(size), *(_cell(found, name) for name in LINES)] for size, found in figures.items()]


def _cell(found: dict[str, tuple[float, float]], name: str) -> str:
    if name not in found:
        return "failed"
    milliseconds_, mebibytes = found[name]
    return f"{milliseconds_:.3g} ms, {mebibytes:.0f} MiB"


def explanation(arguments: argparse.Namespace) -> str:
    """Describe what the table holds."""
    return (
        f"Forward KL from logits in {dtype_name(arguments.device)}, which all peers have, and ours at {POWERS}; "
        f"forward and backward, median of {arguments.repeats} rounds in which all take turns, and peak memory beyond "
        f"the inputs, the gradient included. {machine(arguments.device, *PACKAGES)}."
    )


def main(options: list[str] | None = None) -> None:
    """Measure both sweeps, draw them and write the table."""
    arguments = parse(parser("growth.py", __doc__), options)
    device = arguments.device
    name = "growth" if device == "cpu" else "growth_cuda"
    by_classes, by_rows = (
        {size: measure(*size, device, arguments.repeats) for size in sizes}
        for sizes in SWEEPS["quick" if arguments.quick else device]
    )
    file = ROOT / ("runs" if arguments.quick else "benchmarks") / f"{name}.png"
    file.parent.mkdir(exist_ok=True)
    picture(file, by_classes, by_rows, f"{WHAT}, {dtype_name(device)}")
    lines = table(["rows × classes", *LINES], rows_of(by_classes) + rows_of(by_rows))
    text = f"![time and memory]({file.name})\n\n{explanation(arguments)}\n\n{lines}"
    title = "Growth with classes and rows" + (" on a GPU" if device != "cpu" else "")
    publish(name, title, arguments.command, text, write=not arguments.quick)


if __name__ == "__main__":
    main()
