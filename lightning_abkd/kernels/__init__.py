"""Fused implementations of what `lightning_abkd.functional` defines.

Here: the same numbers from logits, with value and gradient in one pass, faster or with less memory.
Not here: definitions, reductions.
"""

from lightning_abkd.kernels._alpha_beta_grid import AlphaBetaGrid, alpha_beta_grid
from lightning_abkd.kernels._alpha_beta_logits import (
    AlphaBetaStatistics,
    alpha_beta_cross_entropy_rows,
    alpha_beta_from_logits,
    alpha_beta_statistics,
)
from lightning_abkd.kernels._alpha_beta_op import runs_triton
from lightning_abkd.kernels._alpha_beta_rows import alpha_beta_rows
from lightning_abkd.kernels._alpha_beta_sums import AlphaBetaSums
from lightning_abkd.kernels._backend import Backend
from lightning_abkd.kernels._backends import BackendName, choose_backend, create_backends
from lightning_abkd.kernels._closed_form import closed_form, compiled_form
from lightning_abkd.kernels._exponents import binary_exponents
from lightning_abkd.kernels._logit_rows import LogitRows

__all__ = [
    "AlphaBetaGrid",
    "AlphaBetaStatistics",
    "AlphaBetaSums",
    "Backend",
    "BackendName",
    "LogitRows",
    "alpha_beta_cross_entropy_rows",
    "alpha_beta_from_logits",
    "alpha_beta_grid",
    "alpha_beta_rows",
    "alpha_beta_statistics",
    "binary_exponents",
    "choose_backend",
    "closed_form",
    "compiled_form",
    "create_backends",
    "runs_triton",
]
