"""The factor T², and whether it is applied twice."""

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.losses import DIST, DistillationLoss, WeightedSum
from lightning_abkd.training import DistillationModule

_NAME = "T² in force"
# A factor that looks like T² to this many digits is one.
_NEAR = 1e-3


class _Scaled(NamedTuple):
    """A loss with a temperature, the weight it has in all, and whether it is multiplied by T²."""

    name: str
    temperature: float
    weight: float
    is_squared: bool


def squared_temperature(module: DistillationModule, last: Mapping[str, float]) -> Finding:
    """Say whether T² multiplies the divergence; T² in a weight as well is red.

    Args:
        module: The module.
        last: What schedules set at the end of the training, by path.
    """
    if module.divergence is None:
        return not_checked(_NAME, "the module has no divergence")
    found = list(_scaled(module, last))
    if not found:
        return not_checked(_NAME, f"{type(module.divergence).__name__} has no temperature of its own")
    for each in found:
        if each.is_squared and _holds_square(each, module.task_weight):
            square = each.temperature**2
            return red(
                _NAME,
                f"T² twice: {each.name} multiplies by T² = {square:g}, and its weight {each.weight:g} holds T² again.",
                f"Set the weight to {each.weight / square:g}, or `scale_by_temperature: false`.",
            )
    return green(_NAME, "; ".join(dict.fromkeys(_described(each) for each in found)))


def _scaled(module: DistillationModule, last: Mapping[str, float]) -> Iterator[_Scaled]:
    """Yield each loss with a temperature once for each weight that it begins or ends with."""
    loss = module.divergence
    if loss is None:
        return
    weights = {float(module.distillation_weight), float(last.get("distillation_weight", module.distillation_weight))}
    terms: Mapping[str, DistillationLoss] = loss.losses if isinstance(loss, WeightedSum) else {"divergence": loss}
    for name, term in terms.items():
        own = float(getattr(loss, f"{name}_weight")) if isinstance(loss, WeightedSum) else 1.0
        source = _with_temperature(term)
        temperature = getattr(source, "temperature", None)
        if not isinstance(temperature, Tensor | float | int):
            continue
        is_squared = bool(getattr(source, "scale_by_temperature", isinstance(source, DIST)))
        for weight in sorted(weights):
            yield _Scaled(type(term).__name__, float(temperature), weight * own, is_squared)


def _with_temperature(loss: DistillationLoss) -> DistillationLoss | None:
    """Return the loss, or the one inside it, that has a temperature."""
    parts = (part for part in loss.modules() if isinstance(part, DistillationLoss))
    return next((part for part in parts if hasattr(part, "temperature")), None)


def _holds_square(each: _Scaled, task_weight: float) -> bool:
    """Return True if a weight is T², or T² times what the task loss leaves of 1."""
    square = each.temperature**2
    if math.isclose(square, 1.0, rel_tol=_NEAR):
        return False
    shares = [1.0, *([1.0 - task_weight] if 0.0 < task_weight < 1.0 else [])]
    return any(math.isclose(each.weight, share * square, rel_tol=_NEAR) for share in shares)


def _described(each: _Scaled) -> str:
    factor = f"times T² = {each.temperature**2:g}" if each.is_squared else "no factor T²"
    return f"{each.name}: T = {each.temperature:g}, {factor}, weight {each.weight:g}"
