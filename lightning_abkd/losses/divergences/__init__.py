"""Divergences: one value per position.

Here: classes that define `pointwise(log_p, log_q)`, or the exponents of a member of the α-β family, and nothing else.
Not here: losses that couple positions or need labels (see `lightning_abkd.losses.objectives`).
"""

from lightning_abkd.losses.divergences._alpha_beta import (
    AlphaBetaDivergence,
    AlphaDivergence,
    BetaDivergence,
    ForwardKL,
    Hellinger,
    ReverseKL,
)
from lightning_abkd.losses.divergences._mixture import JensenShannon, SkewedForwardKL, SkewedReverseKL, SymmetricKL
from lightning_abkd.losses.divergences._taid import TAID
from lightning_abkd.losses.divergences._tokenwise import (
    TeacherUncertainty,
    TokenRule,
    TokenwiseAlphaBeta,
    TopOneAgreement,
)
from lightning_abkd.losses.divergences._total_variation import TotalVariation
from lightning_abkd.losses.divergences._weighted_kl import AdaptiveKL, EntropyWeightedKL

__all__ = [
    "TAID",
    "AdaptiveKL",
    "AlphaBetaDivergence",
    "AlphaDivergence",
    "BetaDivergence",
    "EntropyWeightedKL",
    "ForwardKL",
    "Hellinger",
    "JensenShannon",
    "ReverseKL",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "SymmetricKL",
    "TeacherUncertainty",
    "TokenRule",
    "TokenwiseAlphaBeta",
    "TopOneAgreement",
    "TotalVariation",
]
