"""Fused implementations of what `lightning_abkd.functional` defines, and the choice between them.

Here: the same numbers from logits, with value and gradient in one pass, faster or with less memory.
Not here: definitions, reductions.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import renamed_names
from lightning_abkd.kernels._alpha_beta_cross_entropy import alpha_beta_cross_entropy_rows
from lightning_abkd.kernels._alpha_beta_grid import AlphaBetaGrid, alpha_beta_grid
from lightning_abkd.kernels._alpha_beta_logits import (
    AlphaBetaStatistics,
    alpha_beta_from_logits,
    alpha_beta_statistics,
)
from lightning_abkd.kernels._alpha_beta_op import runs_triton
from lightning_abkd.kernels._alpha_beta_rows import alpha_beta_rows
from lightning_abkd.kernels._backend import Backend
from lightning_abkd.kernels._backends import BackendName, choose_backend, create_backends
from lightning_abkd.kernels._closed_form import alpha_beta_closed_form
from lightning_abkd.kernels._logit_rows import LogitRows, log_softmax_at
from lightning_abkd.kernels._softmax_exponents import softmax_exponents

__all__ = [
    "AlphaBetaGrid",
    "AlphaBetaStatistics",
    "Backend",
    "BackendName",
    "LogitRows",
    "alpha_beta_closed_form",
    "alpha_beta_cross_entropy_rows",
    "alpha_beta_from_logits",
    "alpha_beta_grid",
    "alpha_beta_rows",
    "alpha_beta_statistics",
    "choose_backend",
    "create_backends",
    "log_softmax_at",
    "runs_triton",
    "softmax_exponents",
]

if not TYPE_CHECKING:
    # Parts of backends are private now.
    __getattr__ = renamed_names(
        __name__,
        {
            "AlphaBetaSums": f"{__name__}._alpha_beta_sums.AlphaBetaSums",
            "binary_exponents": "softmax_exponents",
            "closed_form": f"{__name__}._closed_form.closed_form",
            "compiled_form": f"{__name__}._closed_form.compiled_form",
        },
    )
