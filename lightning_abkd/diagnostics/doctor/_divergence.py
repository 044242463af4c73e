"""The divergence: 0 where the student is the teacher, its α and β, and the gradient that it begins with."""

import copy
import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd.diagnostics._divergence_map import divergence_map
from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._patient import Patient, counted_rows
from lightning_abkd.losses import AlphaBetaDivergence, DistillationLoss, Divergence, WeightedSum, loss_terms
from lightning_abkd.training import Signals

_EQUALITY = "divergence at student = teacher"
_START = "start on the map"
_MOST_ROWS = 512
# Rounding in float32, as a share of the divergence of the batch.
_ZERO = 1e-4
# Size of the weighted gradient as a share of forward KL's, from which on a point vanishes or explodes.
_VANISHES = 1e-3
_EXPLODES = 1e3
_EQUAL = 1e-6


def at_equality(patient: Patient) -> Finding:
    """Compute the divergence with the teacher's answers as the student's; it should be 0."""
    loss = patient.module.divergence
    if loss is None or "teacher_logits" not in patient.signals:
        return not_checked(_EQUALITY, "there is no divergence, or no teacher's logits")
    if not all(isinstance(term, Divergence) for term in _terms(loss).values()):
        return not_checked(_EQUALITY, f"{type(loss).__name__} compares more than two distributions")
    own = copy.deepcopy(loss).eval()
    with torch.no_grad():
        values = _total(own, _as_teacher(patient.signals))
        given = _total(own, patient.signals)
    if not math.isfinite(values) or abs(values) > _ZERO * max(1.0, abs(given)):
        return red(
            _EQUALITY,
            f"Divergence not 0: {type(loss).__name__} is {values:.3g} where the student answers as the teacher.",
            "Let `pointwise(log_p, log_q)` be 0 for equal distributions; see docs/guides/own_divergence.md.",
        )
    return green(_EQUALITY, f"{values:.2g} (as given {given:.3g})")


def _terms(loss: DistillationLoss) -> Mapping[str, DistillationLoss]:
    return loss.losses if isinstance(loss, WeightedSum) else {"divergence": loss}


def _as_teacher(signals: Signals) -> Signals:
    """Return the signals of a student that answers as the teacher does."""
    theirs = {name: value for name, value in signals.items() if name.startswith("teacher_logits")}
    return signals | {name.replace("teacher", "student"): value for name, value in theirs.items()}


def _total(loss: DistillationLoss, signals: Signals) -> float:
    return sum(float(weight * value.double().mean()) for weight, value in loss_terms(loss, signals).values())


class Exponents(NamedTuple):
    """α and β of a loss, and where the module keeps them."""

    path: str
    alpha: float
    beta: float


def exponents_of(loss: DistillationLoss | None) -> Exponents | None:
    """Find the first α and β of a loss, of itself or of a term; None if it has none."""
    if loss is None:
        return None
    for path, part in loss.named_modules(prefix="divergence"):
        if isinstance(part, AlphaBetaDivergence):
            return Exponents(path, float(part.alpha), float(part.beta))
    return None


def alpha_and_beta(loss: DistillationLoss | None, first: Mapping[str, float], last: Mapping[str, float]) -> Finding:
    """Say what α and β are now and at the end.

    Args:
        loss: The divergence.
        first: What schedules set at the first step, by path.
        last: What they set at the last one.
    """
    name = "α, β now and at the end"
    found = exponents_of(loss)
    if found is None:
        why = "the module has no divergence" if loss is None else f"{type(loss).__name__} has no single α and β"
        return not_checked(name, why)
    paths = (f"{found.path}.alpha", f"{found.path}.beta")
    now = [first.get(path, value) for path, value in zip(paths, found[1:], strict=True)]
    end = [last.get(path, value) for path, value in zip(paths, now, strict=True)]
    said = f"({now[0]:g}, {now[1]:g})"
    return green(name, f"{said}, constant" if now == end else f"{said} to ({end[0]:g}, {end[1]:g})")


def start_on_the_map(patient: Patient) -> Finding:
    """Compare the gradient at the first α and β with forward KL's; a vanishing or exploding one is red."""
    term = _alpha_beta_term(patient.module.divergence)
    if term is None or "teacher_logits" not in patient.signals:
        return not_checked(_START, "the map is of the α-β-divergence, which is not compared with a teacher here")
    alpha = float(term.alpha)
    beta = float(term.beta)
    student, teacher = (_rows(patient.signals, f"{network}_logits") for network in ("student", "teacher"))
    if not len(student):
        return not_checked(_START, "no position counts")
    measured = divergence_map(student, teacher, [alpha, 1.0], [beta, 0.0], float(term.temperature))
    size = measured.gradient_norms[0, 0].item()
    usual = measured.gradient_norms[1, 1].item()
    value = measured.values[0, 0].item()
    if usual < _EQUAL:
        return not_checked(_START, "the student answers as the teacher does, so every point has no gradient")
    weight = _weight(patient, term)
    point = f"(α, β) = ({alpha:g}, {beta:g})"
    said = f"its divergence is {value:.3g}, and its gradient {size / usual:.2g} times forward KL's"
    return _judged(point, said, size / usual if math.isfinite(value) else math.inf, weight)


def _judged(point: str, said: str, ratio: float, weight: float) -> Finding:
    cure = "Take a point nearer to forward KL (1, 0), such as (0.8, 0.3), or begin there with an AlphaBetaScheduler"
    if ratio * max(1.0, weight) < _VANISHES:
        return red(_START, f"Vanishing start: at {point} {said}; the student learns nothing from it.", f"{cure}.")
    if not ratio <= _EXPLODES:
        return red(_START, f"Exploding start: at {point} {said}.", f"{cure}; negative exponents and (0, 0) explode.")
    return green(_START, f"at {point} {said}")


def _alpha_beta_term(loss: DistillationLoss | None) -> AlphaBetaDivergence | None:
    terms = {} if loss is None else _terms(loss)
    return next((term for term in terms.values() if isinstance(term, AlphaBetaDivergence)), None)


def _rows(signals: Signals, name: str) -> Tensor:
    rows = counted_rows(signals, name).detach()
    return rows[:_MOST_ROWS].to(torch.promote_types(rows.dtype, torch.float32))


def _weight(patient: Patient, term: AlphaBetaDivergence) -> float:
    square = float(term.temperature) ** 2 if term.scale_by_temperature else 1.0
    return abs(float(patient.module.distillation_weight)) * square
