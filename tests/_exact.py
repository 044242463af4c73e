"""The α-β-divergence of one row and its gradient in 120 digits or more, and what rounding of logarithms may change."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import mpmath as mp

# Where both logarithms are lower, a mask has excluded the class.
EXCLUDED = -(mp.mpf(10) ** 30)


class Exact(NamedTuple):
    """Value and gradient by the student's logits with their tolerances; no gradient if one side alone is at -inf."""

    value: mp.mpf
    tolerance: mp.mpf
    gradient: list[mp.mpf] | None
    gradient_tolerance: list[mp.mpf]


def exact_row(
    student: Sequence[float], teacher: Sequence[float], alpha: float, beta: float, temperature: float, epsilon: float
) -> Exact:
    # The logarithms of float64 may differ by 1e308 and leave a power of order 1.
    with mp.workdps(450 if max(map(abs, filter(math.isfinite, [*student, *teacher]))) > 1e50 else 120):
        a, b = mp.mpf(alpha), mp.mpf(beta)
        classes = [
            _Class(u, v, a, b, epsilon)
            for u, v in zip(_log_softmax(teacher, temperature), _log_softmax(student, temperature), strict=True)
        ]
        value = mp.fsum(c.term() for c in classes)
        tolerance = mp.fsum(c.change() for c in classes) + value * max(c.relative for c in classes)
        if any(math.inf in (-c.u, -c.v) and not c.excluded for c in classes):
            return Exact(value, tolerance, None, [])
        slopes = [c.slope() for c in classes]
        total, size = mp.fsum(slopes), mp.fsum(map(abs, slopes))
        rounding = mp.fsum(c.power() * c.rounding for c in classes)
        gradient = [(c.q * total - g) / temperature for c, g in zip(classes, slopes, strict=True)]
        # Components that are tiny beside the largest may be 0.
        least = max(map(abs, gradient)) * mp.mpf(10) ** -34
        bounds = [
            (c.q * (size * c.relative + rounding) + abs(g) * c.relative + c.power() * c.rounding) / temperature + least
            for c, g in zip(classes, slopes, strict=True)
        ]
        return Exact(value, tolerance, gradient, bounds)


class _Class:
    """One class of a row: u = log p, v = log q."""

    def __init__(self, u: mp.mpf, v: mp.mpf, a: mp.mpf, b: mp.mpf, epsilon: float) -> None:
        self.excluded = u < EXCLUDED and v < EXCLUDED
        self.u, self.v, self.a, self.b, self.s = u, v, a, b, a + b
        self.q = mp.exp(v)
        self.d = mp.mpf(0) if self.excluded else u - v
        finite = [abs(x) for x in (u, v) if mp.isfinite(x)]
        self.rounding = 8 * epsilon * (1 + mp.fsum(finite))
        self.relative = mp.mpf(1e-3) + (1 + abs(a) + abs(b)) * self.rounding

    def term(self) -> mp.mpf:
        if self.d == 0:
            return mp.mpf(0)
        if mp.isinf(self.d):
            other, exponent = (self.v, self.a) if self.d < 0 else (self.u, self.b)
            return mp.exp(self.s * other) / (exponent * self.s) if exponent > 0 and self.s > 0 else mp.inf
        low, middle, high = sorted([mp.mpf(0), self.a, self.s])
        top = high if self.d > 0 else low
        first = self._difference(low, middle, top)
        last = self._difference(middle, high, top)
        divided = (last - first) / (high - low) if high > low else self.d**2 / 2
        return mp.exp(self.s * self.v + top * self.d) * divided

    def _difference(self, lower: mp.mpf, upper: mp.mpf, top: mp.mpf) -> mp.mpf:
        below = mp.exp((lower - top) * self.d)
        return (mp.exp((upper - top) * self.d) - below) / (upper - lower) if upper > lower else self.d * below

    def slope(self) -> mp.mpf:
        if self.d == 0:
            return mp.mpf(0)
        return mp.exp(self.s * self.v) * (mp.expm1(self.a * self.d) / self.a if self.a else self.d)

    def power(self) -> mp.mpf:
        """Return the largest of q^s, p^s and p^α q^β; 0 where one is infinite or none counts."""
        if self.excluded or mp.isinf(self.d):
            return mp.mpf(0)
        return mp.exp(max(self.s * self.v, self.s * self.u, self.a * self.u + self.b * self.v))

    def change(self) -> mp.mpf:
        """Bound by how much the term may change if d changes by its rounding."""
        if mp.isinf(self.d):
            return mp.mpf(0)
        growth = mp.exp(min(self.relative, 50))
        return self.power() * growth * (2 * abs(self.d) * self.rounding + self.rounding**2)


def _log_softmax(logits: Sequence[float], temperature: float) -> list[mp.mpf]:
    scaled = [mp.mpf(x) / mp.mpf(temperature) for x in logits]
    largest = max(scaled)
    total = mp.log(mp.fsum(mp.exp(x - largest) for x in scaled))
    return [x - largest - total for x in scaled]
