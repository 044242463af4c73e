"""Distillation losses, `torch.nn.Module`s that take logits (student first, as torch's input and target) to a scalar.

Here: temperature, masks, reductions, live hyper-parameters, state and parameters of a loss.
Not here: formulas of divergences (see `lightning_abkd.functional`), networks, anything of Lightning.
"""

from lightning_abkd.losses._base import DistillationLoss, check_logits
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses._evaluation import Evaluation, evaluate_divergences
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
    StudentAgreement,
    SymmetricKL,
    TeacherUncertainty,
    TokenRule,
    TokenwiseAlphaBeta,
    TotalVariation,
)
from lightning_abkd.losses.features import CRD, ITRD
from lightning_abkd.losses.hidden import Comparison, HeadLoss, OutputHead, against_head, head_loss, row_chunks
from lightning_abkd.losses.objectives import (
    DIST,
    AdaptiveAlphaDivergence,
    DecoupledDistillation,
    LargerDivergence,
    LogitStandardization,
    MultiLevelDistillation,
    TransformedTeacherMatching,
    WeightedTransformedTeacherMatching,
)

__all__ = [
    "CRD",
    "DIST",
    "ITRD",
    "TAID",
    "AdaptiveAlphaDivergence",
    "AdaptiveKL",
    "AlphaBetaDivergence",
    "AlphaDivergence",
    "BetaDivergence",
    "Comparison",
    "DecoupledDistillation",
    "DistillationLoss",
    "Divergence",
    "EntropyWeightedKL",
    "Evaluation",
    "ForwardKL",
    "HeadLoss",
    "Hellinger",
    "JensenShannon",
    "LargerDivergence",
    "LogitStandardization",
    "MultiLevelDistillation",
    "OutputHead",
    "ReverseKL",
    "SkewedForwardKL",
    "SkewedReverseKL",
    "StudentAgreement",
    "SymmetricKL",
    "TeacherUncertainty",
    "TokenRule",
    "TokenwiseAlphaBeta",
    "TotalVariation",
    "TransformedTeacherMatching",
    "WeightedSum",
    "WeightedTransformedTeacherMatching",
    "against_head",
    "check_logits",
    "evaluate_divergences",
    "head_loss",
    "loss_terms",
    "row_chunks",
]
