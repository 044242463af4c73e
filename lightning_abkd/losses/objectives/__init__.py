"""Objectives on a whole batch of logits.

Here: losses that transform logits, use labels or couple samples, with any divergence inside where the paper has KL.
Not here: losses of features (see `lightning_abkd.losses.features`).
"""

from lightning_abkd.losses.objectives._alphanet import AdaptiveAlphaDivergence, LargerDivergence
from lightning_abkd.losses.objectives._dist import DIST
from lightning_abkd.losses.objectives._dkd import DKD
from lightning_abkd.losses.objectives._lsd import LSD
from lightning_abkd.losses.objectives._mlkd import MLKD
from lightning_abkd.losses.objectives._ttm import TTM, WTTM

__all__ = [
    "DIST",
    "DKD",
    "LSD",
    "MLKD",
    "TTM",
    "WTTM",
    "AdaptiveAlphaDivergence",
    "LargerDivergence",
]
