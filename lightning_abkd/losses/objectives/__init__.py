"""Objectives on a whole batch of logits.

Here: losses that transform logits, use labels or couple samples, with any divergence inside where the paper has KL.
Not here: losses of features (see `lightning_abkd.losses.features`).
"""

from lightning_abkd.losses.objectives._alphanet import AdaptiveAlphaDivergence, LargerDivergence
from lightning_abkd.losses.objectives._dist import DIST
from lightning_abkd.losses.objectives._dkd import DecoupledDistillation
from lightning_abkd.losses.objectives._lsd import LogitStandardization
from lightning_abkd.losses.objectives._mlkd import MultiLevelDistillation
from lightning_abkd.losses.objectives._ttm import TransformedTeacherMatching, WeightedTransformedTeacherMatching

__all__ = [
    "DIST",
    "AdaptiveAlphaDivergence",
    "DecoupledDistillation",
    "LargerDivergence",
    "LogitStandardization",
    "MultiLevelDistillation",
    "TransformedTeacherMatching",
    "WeightedTransformedTeacherMatching",
]
