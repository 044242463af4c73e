"""Fused implementations of what `lightning_abkd.functional` defines.

Here: the same numbers from logits, with value and gradient in one pass, faster or with less memory.
Not here: definitions, masks, reductions.
"""

from lightning_abkd.kernels._alpha_beta_grid import AlphaBetaGrid, alpha_beta_grid
from lightning_abkd.kernels._alpha_beta_rows import alpha_beta_rows
from lightning_abkd.kernels._alpha_beta_sums import AlphaBetaSums
from lightning_abkd.kernels._closed_form import closed_form, compiled_form
from lightning_abkd.kernels._exponents import binary_exponents

__all__ = [
    "AlphaBetaGrid",
    "AlphaBetaSums",
    "alpha_beta_grid",
    "alpha_beta_rows",
    "binary_exponents",
    "closed_form",
    "compiled_form",
]
