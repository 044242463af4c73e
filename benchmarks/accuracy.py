"""Errors of the α-β-divergence against 50-digit arithmetic: python benchmarks/accuracy.py."""

import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from _report import publish, table
from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.losses import AlphaBetaDivergence

# The reference numbers lie with the tests, which are not installed.
sys.path.insert(0, str(Path(__file__).parent.parent))

from tests._asserts import CASES, gradient_error, relative_error, rounding_bound

PATHS = {
    "functional float64": torch.float64,
    "functional float32": torch.float32,
    "fused float32": torch.float32,
}
ALL = "all"


def evaluate(case: dict[str, Any], path: str) -> tuple[float, Tensor]:
    """Compute value and gradient of one case by one path."""
    student = torch.tensor([case["student_logits"]], dtype=PATHS[path], requires_grad=True)
    teacher = torch.tensor([case["teacher_logits"]], dtype=PATHS[path])
    value = fused(case, student, teacher) if path == "fused float32" else unfused(case, student, teacher)
    (gradient,) = torch.autograd.grad(value, student)
    return value.item(), gradient[0]


def fused(case: dict[str, Any], student: Tensor, teacher: Tensor) -> Tensor:
    """Compute a case by the fused backend."""
    exponents = case["alpha"], case["beta"]
    loss = AlphaBetaDivergence(*exponents, case["temperature"], reduction="none", backend="fused")
    values: Tensor = loss(student, teacher)
    return values.sum()


def unfused(case: dict[str, Any], student: Tensor, teacher: Tensor) -> Tensor:
    """Compute a case by the function of log-probabilities."""
    log_p = (teacher / case["temperature"]).log_softmax(-1)
    log_q = (student / case["temperature"]).log_softmax(-1)
    return alpha_beta_divergence(log_p, log_q, case["alpha"], case["beta"]).sum()


def errors(case: dict[str, Any], path: str) -> list[float]:
    """Compute the errors of value and gradient, and that of a near row's value as a share of what rounding explains."""
    value, gradient = evaluate(case, path)
    error = relative_error(value, case)
    of_gradient = gradient_error(gradient, case)
    if case["near"]:
        return [0.0, of_gradient, error / rounding_bound(case, torch.finfo(PATHS[path]).eps)]
    return [error, of_gradient, 0.0]


def largest() -> dict[tuple[str, str], list[float]]:
    """Compute the largest errors by path and point (α, β), and by path over all points."""
    worst: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for case in CASES:
        for path in PATHS:
            found = errors(case, path)
            for point in (name(case), ALL):
                worst[path, point] = [*map(max, worst[path, point], found)]
    return worst


def name(case: dict[str, Any]) -> str:
    """Write the point (α, β) of a case."""
    return str((case["alpha"], case["beta"]))


def row(worst: dict[tuple[str, str], list[float]], point: str) -> list[str]:
    """Lay out the errors of a point."""
    cells = [f"{error:.1e}" for path in PATHS for error in worst[path, point][:2]]
    return [point, *cells, f"{max(worst[path, point][2] for path in PATHS):.2f}"]


def main() -> None:
    """Write the table of largest errors."""
    worst = largest()
    points = [name(case) for case in sorted(CASES, key=lambda case: (case["alpha"], case["beta"]))]
    rows = [row(worst, point) for point in (*dict.fromkeys(points), ALL)]
    header = ["(α, β)", *(f"{path}, {what}" for path in PATHS for what in ("value", "gradient")), "near rows"]
    explanation = (
        f"{len(CASES)} rows of 2 to 64 classes, logits of scale 0.1 to 30, temperatures 1 and 4, against 50-digit "
        "arithmetic. Value: largest relative error where teacher and student differ. Gradient: largest error on the "
        "row's natural scale max q^s·max(1, |E(α; d)|)/T. Near rows (student within 1e-3 of the teacher): largest "
        "error of a value as a share of what the rounding of d = log p − log q alone explains."
    )
    publish("accuracy", "Accuracy", "python benchmarks/accuracy.py", f"{explanation}\n\n{table(header, rows)}")


if __name__ == "__main__":
    main()
