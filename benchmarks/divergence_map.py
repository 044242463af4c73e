"""Time and accuracy of a 7×7 map of divergences and gradient norms: python benchmarks/divergence_map.py."""

import argparse
import itertools
from functools import partial

import torch
from torch import Tensor

from _report import machine, publish, table
from _timing import interleaved, milliseconds, ratio
from lightning_abkd.diagnostics import DivergenceMap, divergence_map
from lightning_abkd.losses import AlphaBetaDivergence

SHAPES = ("512x50257", "512x32000", "2048x1000")
# Number of rows for which the map is compared with float64.
COMPARED = 16


def one_by_one(student: Tensor, teacher: Tensor, alphas: tuple[float, ...], betas: tuple[float, ...]) -> DivergenceMap:
    """Compute the map by one forward and backward pass per point."""
    values = []
    norms = []
    for alpha, beta in itertools.product(alphas, betas):
        loss = AlphaBetaDivergence(alpha, beta)(student, teacher)
        (gradient,) = torch.autograd.grad(loss, student)
        values.append(loss.detach())
        # The loss is the mean of the rows.
        norms.append(gradient.norm(dim=-1).sum())
    shape = len(alphas), len(betas)
    return DivergenceMap(alphas, betas, torch.stack(values).view(shape), torch.stack(norms).view(shape))


def one(student: Tensor, teacher: Tensor) -> None:
    """Run one forward and backward pass."""
    torch.autograd.grad(AlphaBetaDivergence(0.2, 0.7)(student, teacher), student)


def errors(student: Tensor, teacher: Tensor) -> list[str]:
    """Compute the largest relative errors of mean values and mean norms on the first rows."""
    student = student[:COMPARED].detach()
    teacher = teacher[:COMPARED]
    ours = divergence_map(student, teacher)
    exact = one_by_one(student.double().requires_grad_(), teacher.double(), ours.alphas, ours.betas)
    return [f"{((a - b).abs() / b).max():.1e}" for a, b in zip(ours[2:4], exact[2:4], strict=True)]


def row(shape: str, repeats: int) -> list[str]:
    """Measure one shape."""
    rows, classes = map(int, shape.split("x"))
    student = (3 * torch.randn(rows, classes)).requires_grad_()
    teacher = 3 * torch.randn(rows, classes)
    close = teacher + 0.1 * torch.randn(rows, classes)
    grid = divergence_map(torch.zeros(2), torch.zeros(2))
    whole = partial(divergence_map, student, teacher)
    times = interleaved({"map": whole, "one": partial(one, student, teacher)}, repeats)
    every = partial(one_by_one, student, teacher, grid.alphas, grid.betas)
    all_points = interleaved({"map": whole, "all": every}, 1)
    return [
        shape.replace("x", "×"),
        f"{milliseconds(times['map']):.0f} ms",
        f"{ratio(times, 'map', 'one'):.2f}",
        f"{ratio(all_points, 'map', 'all'):.3f}",
        *errors(student, teacher),
        *errors(close, teacher),
    ]


def explanation(repeats: int) -> str:
    """Describe what the table holds."""
    return (
        "Values and gradient norms at α, β ∈ {0, 1/6, …, 1} from float32 logits, against forward and backward of "
        f"`AlphaBetaDivergence`, median of {repeats} rounds in which both take turns. Errors are the largest relative "
        f"ones of means over {COMPARED} rows, against float64; logits of student and teacher are independent of scale "
        f"3 (apart) or differ by 0.1 (near). {machine()}."
    )


def main(arguments: list[str] | None = None) -> None:
    """Write the table of ratios and errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="rows x classes, such as 512x50257")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--print", action="store_true", help="leave benchmarks/README.md as it is")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    header = ["logits", "map of 49 points", "time / one divergence", "time / 49 divergences"]
    for whose in ("student apart", "student near"):
        header += [f"error of values, {whose}", f"error of norms, {whose}"]
    rows = [row(shape, options.repeats) for shape in options.shapes]
    text = f"{explanation(options.repeats)}\n\n{table(header, rows)}"
    if options.print:
        print(text)
    else:
        publish("divergence_map", "A map of divergences on a CPU", "python benchmarks/divergence_map.py", text)


if __name__ == "__main__":
    main()
