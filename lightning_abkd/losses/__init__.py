"""Distillation losses, `torch.nn.Module`s that take logits (student first, as torch's input and target) to a scalar.

Here: temperature, masks, reductions, live hyper-parameters, state and parameters of a loss.
Not here: formulas of divergences (see `lightning_abkd.functional`), networks, anything of Lightning.
"""

from lightning_abkd.losses._alpha_beta import (
    AlphaBetaDivergence,
    AlphaDivergence,
    BetaDivergence,
    ForwardKL,
    Hellinger,
    ReverseKL,
)
from lightning_abkd.losses._alphanet import AdaptiveAlphaDivergence, LargerDivergence
from lightning_abkd.losses._base import DistillationLoss
from lightning_abkd.losses._crd import CRD
from lightning_abkd.losses._decoupled import DecoupledDistillation
from lightning_abkd.losses._dist import DIST
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses._evaluation import Evaluation, evaluate_divergences
from lightning_abkd.losses._head_loss import Comparison, HeadLoss, against_head, head_loss, row_chunks
from lightning_abkd.losses._itrd import ITRD
from lightning_abkd.losses._mixture import JensenShannon, SkewedForwardKL, SkewedReverseKL, SymmetricKL
from lightning_abkd.losses._mlkd import MultiLevelDistillation
from lightning_abkd.losses._output_head import OutputHead
from lightning_abkd.losses._taid import TAID
from lightning_abkd.losses._tokenwise import StudentAgreement, TeacherUncertainty, TokenRule, TokenwiseAlphaBeta
from lightning_abkd.losses._total_variation import TotalVariation
from lightning_abkd.losses._transformed import (
    LogitStandardization,
    TransformedTeacherMatching,
    WeightedTransformedTeacherMatching,
)
from lightning_abkd.losses._weighted_kl import AdaptiveKL, EntropyWeightedKL
from lightning_abkd.losses._weighted_sum import WeightedSum, loss_terms

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
    "evaluate_divergences",
    "head_loss",
    "loss_terms",
    "row_chunks",
]
