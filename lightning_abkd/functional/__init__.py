"""Divergences between two categorical distributions, as pure functions of log-probabilities.

Here: teacher and student log-probabilities of shape (..., V) in, one value per position of shape (...) out; and
helpers for code around them, `promote_to_float32`, `excluded_by_both` and `can_read_without_sync`.
Not here: temperature, masks, reductions, modules (see `lightning_abkd.losses`).
"""

from lightning_abkd.functional._alpha_beta import alpha_beta_divergence, alpha_beta_slope
from lightning_abkd.functional._alpha_beta_value_and_gradients import (
    ValueAndGradients,
    alpha_beta_value_and_gradients,
)
from lightning_abkd.functional._alpha_beta_value_and_slope import alpha_beta_value_and_slope
from lightning_abkd.functional._correlation import pearson_correlation
from lightning_abkd.functional._family import (
    alpha_divergence,
    beta_divergence,
    forward_kl,
    hellinger,
    reverse_kl,
    symmetric_kl,
)
from lightning_abkd.functional._mixture import jensen_shannon, skewed_forward_kl, skewed_reverse_kl
from lightning_abkd.functional._numerics import can_read_without_sync, excluded_by_both, promote_to_float32
from lightning_abkd.functional._subset import LargestClasses, largest_classes, top_k_buckets
from lightning_abkd.functional._total_variation import total_variation
from lightning_abkd.functional._weighted_kl import adaptive_kl, entropy_weighted_kl

__all__ = [
    "LargestClasses",
    "ValueAndGradients",
    "adaptive_kl",
    "alpha_beta_divergence",
    "alpha_beta_slope",
    "alpha_beta_value_and_gradients",
    "alpha_beta_value_and_slope",
    "alpha_divergence",
    "beta_divergence",
    "can_read_without_sync",
    "entropy_weighted_kl",
    "excluded_by_both",
    "forward_kl",
    "hellinger",
    "jensen_shannon",
    "largest_classes",
    "pearson_correlation",
    "promote_to_float32",
    "reverse_kl",
    "skewed_forward_kl",
    "skewed_reverse_kl",
    "symmetric_kl",
    "top_k_buckets",
    "total_variation",
]
