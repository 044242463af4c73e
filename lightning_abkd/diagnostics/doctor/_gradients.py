"""The gradient of each term in the first step."""

import math

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._step import Record

_NAME = "gradient norm by term"


def gradients(record: Record) -> Finding:
    """Say how much each term of the loss moves the student in the first step; none at all is red."""
    norms = record.norms
    if not norms:
        return not_checked(_NAME, "the loss is compiled, computed by a single term, or computed by the module itself")
    wrong = [name for name, norm in norms.items() if not math.isfinite(norm)]
    if wrong:
        return red(
            _NAME,
            f"The gradient of {', '.join(wrong)} is not finite in the first step.",
            "Take a point nearer to forward KL (1, 0), a wider precision, or gradient clipping.",
        )
    total = sum(norms.values())
    if not total:
        return red(
            _NAME,
            f"No term moves the student in the first step: {', '.join(norms)} have the gradient 0.",
            "Check the weights of the terms, and α and β.",
        )
    shares = (f"{name} {norm:.3g} ({100 * norm / total:.3g} %)" for name, norm in norms.items())
    return green(_NAME, ", ".join(shares))
