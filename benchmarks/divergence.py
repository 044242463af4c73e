"""Time and memory of the α-β-divergence on a processor: python benchmarks/divergence.py."""

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _report import interleaved, machine, peak_bytes, publish, ratio, resident, table

from lightning_abkd.losses import AlphaBetaDivergence

POINTS = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.2, 0.7), (0.8, 0.3)]


def kl_div(student: Tensor, teacher: Tensor) -> Tensor:
    """Forward KL as torch has it."""
    log_q, log_p = F.log_softmax(student, -1), F.log_softmax(teacher, -1)
    return F.kl_div(log_q, log_p, reduction="batchmean", log_target=True)


def literal(student: Tensor, teacher: Tensor, alpha: float, beta: float) -> Tensor:
    """The paper's formula written as it stands, limits included."""
    p, q, total = F.softmax(teacher, -1), F.softmax(student, -1), alpha + beta
    if beta == 0:
        return (p**alpha * (p**alpha / q**alpha).log() - p**alpha + q**alpha).sum(-1).mean() / alpha**2
    if alpha == 0:
        return (q**beta * (q**beta / p**beta).log() - q**beta + p**beta).sum(-1).mean() / beta**2
    terms = p**alpha * q**beta - alpha / total * p**total - beta / total * q**total
    return -terms.sum(-1).mean() / (alpha * beta)


def candidates(alpha: float, beta: float) -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Name what is compared."""
    return {
        "ours": AlphaBetaDivergence(alpha, beta),
        "F.kl_div": kl_div,
        "literal": lambda student, teacher: literal(student, teacher, alpha, beta),
    }


def step(loss: Callable[[Tensor, Tensor], Tensor], student: Tensor, teacher: Tensor) -> None:
    """Run one forward and backward pass."""
    student.grad = None
    loss(student, teacher).backward()


def measure_memory(name: str, rows: int, classes: int) -> None:
    """Print by how many bytes one pass raises the peak of this process above its inputs."""
    student, teacher = torch.randn(rows, classes, requires_grad=True), torch.randn(rows, classes)
    loss = candidates(0.2, 0.7)[name]
    step(loss, torch.randn(2, 100, requires_grad=True), torch.randn(2, 100))
    before = resident(afresh=True)
    step(loss, student, teacher)
    print(resident() - before)


def main() -> None:
    """Write the table of ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--classes", type=int, default=50257)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--memory", metavar="NAME", help="measure the memory of one candidate in this process")
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    if arguments.memory:
        measure_memory(arguments.memory, arguments.rows, arguments.classes)
        return
    torch.manual_seed(0)
    student = (3 * torch.randn(arguments.rows, arguments.classes)).requires_grad_()
    teacher = 3 * torch.randn(arguments.rows, arguments.classes)
    rows = []
    for point in POINTS:
        losses = candidates(*point).items()
        times = interleaved({n: lambda f=f: step(f, student, teacher) for n, f in losses}, arguments.repeats)
        ratios = [f"{ratio(times, 'ours', other):.2f}" for other in ("F.kl_div", "literal")]
        rows.append([str(point), f"{statistics.median(times['ours']) * 1e3:.0f} ms", *ratios])
    shape = ["--rows", str(arguments.rows), "--classes", str(arguments.classes)]
    size = student.numel() * student.element_size()
    memory = [f"{peak_bytes(__file__, '--memory', name, *shape) / size:.2f}" for name in candidates(0.2, 0.7)]
    text = (
        f"{arguments.rows}×{arguments.classes} float32, forward and backward, median of {arguments.repeats} rounds "
        f"in which the candidates take turns. {machine()}.\n\n"
        + table(["(α, β)", "ours", "time ours / F.kl_div (1, 0)", "time ours / paper's formula literally"], rows)
        + "\n\nPeak memory beyond the inputs, in sizes of the student's logits, gradient included, at (0.2, 0.7):\n\n"
        + table(["ours", "F.kl_div (1, 0)", "literally"], [memory])
    )
    publish("divergence", "The divergence on a processor", "python benchmarks/divergence.py", text)


if __name__ == "__main__":
    main()
