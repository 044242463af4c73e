"""Fused implementations of what `lightning_abkd.functional` defines.

Here: the same numbers from logits, with value and gradient in one pass, faster or with less memory.
Not here: definitions, reductions.
"""

from lightning_abkd.kernels._alpha_beta_logits import (
    AlphaBetaStatistics,
    alpha_beta_cross_entropy_rows,
    alpha_beta_from_logits,
    alpha_beta_statistics,
)
from lightning_abkd.kernels._alpha_beta_op import runs_triton
from lightning_abkd.kernels._alpha_beta_rows import AlphaBetaRows

__all__ = [
    "AlphaBetaRows",
    "AlphaBetaStatistics",
    "alpha_beta_cross_entropy_rows",
    "alpha_beta_from_logits",
    "alpha_beta_statistics",
    "runs_triton",
]
