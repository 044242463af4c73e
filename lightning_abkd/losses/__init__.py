"""Distillation losses: `torch.nn.Module`s that compute a scalar from logits or features, the student's first.

Here: temperature, masks, reductions, live hyper-parameters, state and parameters of a loss.
Not here: formulas of divergences (see `lightning_abkd.functional`), networks, anything from Lightning.
"""

from typing import TYPE_CHECKING

from lightning_abkd._utils import renamed_names
from lightning_abkd.losses._base import DistillationLoss, check_logits
from lightning_abkd.losses._cross_entropy import mean_cross_entropy
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses._evaluation import DivergenceEvaluation, evaluate_divergences
from lightning_abkd.losses._weighted_sum import WeightedSum, loss_terms
from lightning_abkd.losses.divergences import (
    TAID,
    AdaptiveKL,
    AlphaBetaDivergence,
    AlphaDivergence,
    BetaDivergence,
    EntropyWeightedKL,
    ForwardKL,
    Hellinger,
    JensenShannon,
    ReverseKL,
    SkewedForwardKL,
    SkewedReverseKL,
    SymmetricKL,
    TeacherUncertainty,
    TokenRule,
    TokenwiseAlphaBeta,
    TopOneAgreement,
    TotalVariation,
)
from lightning_abkd.losses.features import CRD, ITRD
from lightning_abkd.losses.hidden import (
    HeadLossTerms,
    OutputHead,
    PairedLogits,
    compare_with_head,
    head_loss,
    split_rows,
)
from lightning_abkd.losses.objectives import (
    DIST,
    DKD,
    LSD,
    MLKD,
    TTM,
    WTTM,
    AdaptiveAlphaDivergence,
    LargerDivergence,
)

__all__ = [
    "CRD",
    "DIST",
    "DKD",
    "ITRD",
    "LSD",
    "MLKD",
    "TAID",
    "TTM",
    "WTTM",
    "AdaptiveAlphaDivergence",
    "AdaptiveKL",
    "AlphaBetaDivergence",
    "AlphaDivergence",
    "BetaDivergence",
    "DistillationLoss",
    "Divergence",
    "DivergenceEvaluation",
    "EntropyWeightedKL",
    "ForwardKL",
    "HeadLossTerms",
    "Hellinger",
    "JensenShannon",
    "LargerDivergence",
    "OutputHead",
    "PairedLogits",
    "ReverseKL",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "SymmetricKL",
    "TeacherUncertainty",
    "TokenRule",
    "TokenwiseAlphaBeta",
    "TopOneAgreement",
    "TotalVariation",
    "WeightedSum",
    "check_logits",
    "compare_with_head",
    "evaluate_divergences",
    "head_loss",
    "loss_terms",
    "mean_cross_entropy",
    "split_rows",
]

if not TYPE_CHECKING:
    __getattr__ = renamed_names(
        __name__,
        {
            "DecoupledDistillation": "DKD",
            "LogitStandardization": "LSD",
            "TransformedTeacherMatching": "TTM",
            "WeightedTransformedTeacherMatching": "WTTM",
            "MultiLevelDistillation": "MLKD",
            "Comparison": "PairedLogits",
            "against_head": "compare_with_head",
            "HeadLoss": "HeadLossTerms",
            "row_chunks": "split_rows",
            "StudentAgreement": "TopOneAgreement",
            "Evaluation": "DivergenceEvaluation",
        },
    )
