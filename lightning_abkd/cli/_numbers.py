"""Numbers and names of metrics as a screen shows them."""

from collections.abc import Mapping

from torch import Tensor


def narrow(value: float) -> str:
    """Write a number in five columns.

    Example:
        >>> narrow(0.91234), narrow(1234.5), narrow(0.0123), narrow(1e-5)
        ('0.91', '1234', '0.012', '1e-05')
    """
    size = abs(value)
    if size == 0.0 or 0.1 <= size < 100.0:
        return f"{value:.2f}"
    if 0.001 <= size < 0.1:
        return f"{value:.3f}"
    return f"{value:.0f}" if 100.0 <= size < 1e5 else f"{value:.0e}"


def scalars(metrics: Mapping[str, Tensor], stage: str) -> dict[str, float]:
    """Return the metrics of a stage, such as "val", by their names without it."""
    return {
        name.removeprefix(f"{stage}/"): float(value) for name, value in metrics.items() if name.startswith(f"{stage}/")
    }
