"""Errors of the α-β-divergence against 50-digit arithmetic: python benchmarks/accuracy.py."""

import sys
from collections import defaultdict
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

from _report import publish, table

from lightning_abkd.functional import alpha_beta_divergence
from lightning_abkd.losses import AlphaBetaDivergence
from tests._asserts import CASES, gradient_error, relative_error, rounding_bound


def evaluate(case: dict, path: str) -> tuple[float, torch.Tensor]:
    """Compute value and gradient of one case by one path."""
    dtype = torch.float64 if path == "functional float64" else torch.float32
    student = torch.tensor([case["student_logits"]], dtype=dtype, requires_grad=True)
    teacher = torch.tensor([case["teacher_logits"]], dtype=dtype)
    if path == "fused float32":
        loss = AlphaBetaDivergence(case["alpha"], case["beta"], case["temperature"], reduction="none", backend="fused")
        value = loss(student, teacher)
        value.sum().backward()
        return value.item(), student.grad[0]
    log_p, log_q = ((x / case["temperature"]).log_softmax(-1) for x in (teacher, student))
    value = alpha_beta_divergence(log_p, log_q, case["alpha"], case["beta"])
    value.backward()
    return value.item(), student.grad[0]


def main() -> None:
    """Write the table of largest errors."""
    paths = ("functional float64", "functional float32", "fused float32")
    worst: dict[tuple[str, tuple], list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for case in CASES:
        for path in paths:
            value, gradient = evaluate(case, path)
            keys = [(path, (case["alpha"], case["beta"])), (path, "all")]
            epsilon = torch.finfo(torch.float64 if "64" in path else torch.float32).eps
            error = relative_error(value, case)
            near = error / rounding_bound(case, epsilon) if case["near"] else 0.0
            for key in keys:
                errors = (0.0 if case["near"] else error, gradient_error(gradient, case), near)
                worst[key] = [max(old, new) for old, new in zip(worst[key], errors, strict=True)]
    points = sorted({(case["alpha"], case["beta"]) for case in CASES})
    rows = []
    for point in [*points, "all"]:
        cells = [f"{error:.1e}" for path in paths for error in worst[path, point][:2]]
        rows.append([str(point), *cells, f"{max(worst[path, point][2] for path in paths):.2f}"])
    header = ["(α, β)", *(f"{path}, {what}" for path in paths for what in ("value", "gradient")), "near rows"]
    explanation = (
        f"{len(CASES)} rows of 2 to 64 classes, logits of scale 0.1 to 30, temperatures 1 and 4, against 50-digit "
        "arithmetic. Value: largest relative error where teacher and student differ. Gradient: largest error on the "
        "row's natural scale max q^s·max(1, |E(α; d)|)/T. Near rows (student within 1e-3 of the teacher): largest "
        "error of a value as a share of what the rounding of d = log p − log q alone explains.\n\n"
    )
    publish("accuracy", "Accuracy", "python benchmarks/accuracy.py", explanation + table(header, rows))


if __name__ == "__main__":
    main()
