"""Checks of arguments, each with one wording of its error."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def _error(name: str, value: object, wanted: str, advice: str) -> ValueError:
    return ValueError(f"Parameter `{name}` should {wanted}. Found `{name} = {value!r}`.{' ' * bool(advice)}{advice}")


def check_finite(name: str, value: float, advice: str = "") -> None:
    """Raise ValueError unless the value is a finite number."""
    if not math.isfinite(value):
        raise _error(name, value, "be finite", advice)


def check_positive(name: str, value: float, advice: str = "") -> None:
    """Raise ValueError unless the value is finite and greater than 0."""
    if not 0.0 < value < math.inf:
        raise _error(name, value, "be finite and greater than 0", advice)


def check_at_least(name: str, value: float, minimum: float, advice: str = "") -> None:
    """Raise ValueError unless the value is finite and at least the minimum."""
    if not minimum <= value < math.inf:
        finite = "" if isinstance(value, int) else "finite and "
        raise _error(name, value, f"be {finite}at least {minimum:g}", advice)


def check_interval(name: str, value: float, interval: str, advice: str = "") -> None:
    """Raise ValueError unless the value lies in an interval written as "[0, 1]", "[0, 1)" or "(0, 1)".

    Example:
        >>> check_interval("dropout", 0.5, "[0, 1)")
    """
    low, high = (float(bound) for bound in interval[1:-1].split(","))
    above = value > low or (interval[0] == "[" and value == low)
    below = value < high or (interval[-1] == "]" and value == high)
    if not (above and below):
        raise _error(name, value, f"lie in {interval}", advice)


def check_choice(name: str, value: object, choices: Sequence[object], advice: str = "") -> None:
    """Raise ValueError unless the value is one of the choices.

    Example:
        >>> check_choice("kind", "top_k", ("hidden", "top_k"))
    """
    if value not in choices:
        listed = [repr(choice) for choice in choices]
        wanted = " or ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)
        raise _error(name, value, f"be {wanted}", advice)


def check_same_shape(
    first: "Tensor", second: "Tensor", names: tuple[str, str] = ("student_logits", "teacher_logits"), advice: str = ""
) -> None:
    """Raise ValueError unless two tensors have the same shape."""
    if first.shape != second.shape:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` should have the same shape. "
            f"Found {tuple(first.shape)} and {tuple(second.shape)}.{' ' * bool(advice)}{advice}"
        )
