"""Fused implementations of what `lightning_abkd.functional` defines.

Here: the same numbers from logits, with value and gradient in one pass, faster or with less memory.
Not here: definitions, masks, reductions.
"""

from lightning_abkd.kernels._alpha_beta_grid import AlphaBetaGrid, alpha_beta_grid
from lightning_abkd.kernels._alpha_beta_rows import AlphaBetaRows

__all__ = ["AlphaBetaGrid", "AlphaBetaRows", "alpha_beta_grid"]
