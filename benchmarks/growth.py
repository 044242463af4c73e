"""How time and memory of the divergence grow with classes and with rows, as a picture and a table.

python benchmarks/growth.py                  processor, float32
python benchmarks/growth.py --quick          small sizes, printed and drawn into runs/growth.png
python benchmarks/growth.py --device cuda    GPU, bfloat16
"""

import argparse
import shlex
import statistics
import sys
from functools import partial
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _inputs import logits
from _peers import FORWARD, PACKAGES, candidates
from _report import alone, failures, growth, interleaved, machine, publish, table
from divergence import DTYPES, peak, step

ROOT = Path(__file__).parent.parent
POWERS = "(0.2, 0.7)"
OTHER = f"ours at {POWERS}"
# Rows and classes, of which first the classes grow and then the rows.
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
# Okabe & Ito 2008, told apart also without colour vision; what is alike shares a colour and differs in its line.
LINES = {
    "ours": ("#D55E00", "o-"),
    OTHER: ("#E69F00", "o:"),
    "torch": ("#000000", "s--"),
    "torch.compile": ("#000000", "s:"),
    "F.kl_div": ("#0072B2", "^-."),
    "literal": ("#CC79A7", "v--"),
    "TRL": ("#009E73", "D--"),
    "Liger KL": ("#56B4E9", "X--"),
    "Liger JSD": ("#56B4E9", "P:"),
}
# What a process grows by beside arrays hides smaller ones.
SMALLEST = 250_000

# Milliseconds and MiB of each candidate, by rows and classes.
Figures = dict[tuple[int, int], dict[str, tuple[float, float]]]


def measure(rows: int, classes: int, device: str, repeats: int) -> dict[str, tuple[float, float]]:
    """Give the median time of a forward and backward pass and its peak beyond the inputs, for all that runs."""
    torch.compiler.reset()
    student, teacher = logits(rows, classes, device, DTYPES[device])
    losses = candidates(FORWARD, (), device)
    losses[OTHER] = candidates(POWERS, (), device)["ours"]
    calls = {name: partial(step, loss, student, teacher) for name, loss in losses.items()}
    for name, why in failures(calls).items():
        print(f"{name} failed: {why}", file=sys.stderr)
        del calls[name]
    times, figures = interleaved(calls, repeats, device), {}
    for name, call in calls.items():
        student.grad = None
        point, loss = (POWERS, "ours") if name == OTHER else (FORWARD, name)
        grown = alone(peak, point, loss, rows, classes, []) if device == "cpu" else growth(call, device)
        figures[name] = statistics.median(times[name]) * 1e3, grown / 2**20
    return figures


def draw(axis: Axes, figures: Figures, growing: int, memory: bool) -> None:
    """Draw time or memory over the number that grows."""
    for name, (colour, style) in LINES.items():
        shown = {
            size[growing]: found[name][memory]
            for size, found in figures.items()
            if name in found and (not memory or size[0] * size[1] >= SMALLEST)
        }
        axis.loglog([*shown], [*shown.values()], style, color=colour, label=name, markersize=5, linewidth=1.6)
    axis.grid(which="major", alpha=0.4)
    axis.grid(which="minor", alpha=0.12)


def picture(path: Path, by_classes: Figures, by_rows: Figures, title: str) -> None:
    """Draw time above memory, over classes on the left and over rows on the right."""
    figure = Figure(figsize=(11, 8.5), layout="constrained")
    axes = figure.subplots(2, 2, sharex="col", sharey="row")
    for column, (figures, growing) in enumerate(((by_classes, 1), (by_rows, 0))):
        for memory in (False, True):
            draw(axes[int(memory), column], figures, growing, memory)
        rows, classes = next(iter(figures))
        axes[0, column].set_title(f"{classes:,} classes" if growing == 0 else f"{rows:,} rows")
        axes[1, column].set_xlabel("rows" if growing == 0 else "classes")
        sizes = [size[growing] for size in figures]
        axes[1, column].set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes[1, column].tick_params(axis="x", which="minor", labelbottom=False)
    axes[0, 0].set_ylabel("milliseconds, forward and backward")
    axes[1, 0].set_ylabel("peak MiB beyond the inputs")
    measured = {name for found in (by_classes | by_rows).values() for name in found}
    handles = [line for line in axes[0, 0].lines if line.get_label() in measured]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(title)
    figure.savefig(path, dpi=130)


def rows_of(figures: Figures) -> list[list[str]]:
    """Lay out one size after the other."""
    return [
        [
            f"{rows}×{classes}",
            *(f"{found[name][0]:.3g} ms, {found[name][1]:.0f} MiB" if name in found else "failed" for name in LINES),
        ]
        for (rows, classes), found in figures.items()
    ]


def main(options: list[str] | None = None) -> None:
    """Measure both sweeps, draw them and write the table."""
    options = sys.argv[1:] if options is None else options
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=list(DTYPES), default="cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="small sizes, printed and drawn into runs")
    arguments = parser.parse_args(options)
    torch.set_num_threads(arguments.threads)
    device, name = arguments.device, "growth" if arguments.device == "cpu" else "growth_cuda"
    sweeps = [
        {size: measure(*size, device, arguments.repeats) for size in sizes}
        for sizes in SWEEPS["quick" if arguments.quick else device]
    ]
    file = ROOT / ("runs" if arguments.quick else "benchmarks") / f"{name}.png"
    file.parent.mkdir(exist_ok=True)
    dtype = str(DTYPES[device]).removeprefix("torch.")
    picture(file, *sweeps, f"Forward KL from logits and its gradient, {dtype}")
    text = (
        f"![time and memory]({file.name})\n\nForward KL from logits in {dtype}, which all peers have, and "
        f"ours at {POWERS}; forward and backward, median of {arguments.repeats} rounds in which all take "
        f"turns, and peak memory beyond the inputs, the gradient included. {machine(device, *PACKAGES)}.\n\n"
    )
    text += table(["rows × classes", *LINES], [line for figures in sweeps for line in rows_of(figures)])
    title = "Growth with classes and rows" + (" on a GPU" if device != "cpu" else "")
    publish(name, title, shlex.join(["python", "benchmarks/growth.py", *options]), text, write=not arguments.quick)


if __name__ == "__main__":
    main()
