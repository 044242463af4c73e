"""Decoupled knowledge distillation."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd._utils import Context, check_finite
from lightning_abkd.functional import can_read_without_sync, promote_to_float32
from lightning_abkd.losses._base import DistillationLoss, as_default, check_logits, class_indices
from lightning_abkd.losses._divergence import Divergence
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL
from lightning_abkd.losses.objectives._check import check_divergence_reduction


class DKD(DistillationLoss):
    r"""Target and non-target classes distilled separately (DKD), with any divergence on the non-target part.

    Paper: Zhao et al. 2022, arXiv 2203.08679, with forward KL on both parts. With `AlphaBetaDivergence` it is ABKD's
    AB-DKD.

    .. math::

        L = \lambda_1 T^2 \, \mathrm{KL}(b_p \| b_q) + \lambda_2 \, D(\hat{p} \| \hat{q})

    where:

    - q, p -> softmax of `student_logits` / T, `teacher_logits` / T; b is the pair (probability of the label, rest), and
      :math:`\hat{p}, \hat{q}` are renormalised without the label's class.
    - D -> `divergence`; its T and T² hold for both parts.
    - λ₁ -> `target_weight`: any finite number; the paper's α, 1 there.
    - λ₂ -> `non_target_weight`: any finite number; the paper's β, chosen for each pair of networks.

    The warm-up of DKD is a schedule of both weights, which are live.

    Args:
        divergence: Divergence of the non-target part, of reduction "mean"; None stands for `ForwardKL(4.0, True)`.
        target_weight: Weight of the target part.
        non_target_weight: Weight of the non-target part.

    Raises:
        ValueError: If a weight is not finite or the divergence's reduction is not "mean".

    Example:
        >>> loss = DKD(non_target_weight=2.0)
        >>> loss(torch.zeros(3, 5), torch.zeros(3, 5), torch.tensor([0, 1, 4])).item()
        0.0
    """

    target_weight: Tensor
    non_target_weight: Tensor

    def __init__(
        self, divergence: Divergence | None = None, target_weight: float = 1.0, non_target_weight: float = 8.0
    ) -> None:
        check_finite("target_weight", target_weight)
        check_finite("non_target_weight", non_target_weight)
        divergence = divergence or as_default(ForwardKL(4.0, scale_by_temperature=True))
        check_divergence_reduction(divergence, "mean")
        super().__init__()
        self.divergence = divergence
        self.hyperparameter("target_weight", target_weight)
        self.hyperparameter("non_target_weight", non_target_weight)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            student_logits: Shape (B, C).
            teacher_logits: Shape (B, C).
            labels: Class indices of every sample, shape (B,).

        Returns:
            Scalar.

        Raises:
            ValueError: If shapes do not fit each other, labels are probabilities, or there is one class alone.
        """
        check_logits(student_logits, teacher_logits, None)
        if student_logits.shape[-1] < 2:
            raise ValueError(
                "DKD should see at least two classes, the label's and another. "
                f"Found logits of shape {tuple(student_logits.shape)}."
            )
        index = class_indices(labels, student_logits, "DKD").unsqueeze(-1)
        temperature = self.divergence.temperature
        student = promote_to_float32(student_logits)
        teacher = promote_to_float32(teacher_logits)
        weight = self.target_weight * (temperature.square() if self.divergence.scale_by_temperature else 1.0)
        odds = _odds(student.detach(), teacher.detach(), index, temperature)
        others = (_Others.apply(student, index), _Others.apply(teacher, index))
        rest = self.divergence(*(others if odds.finite else _possible_rows(*others)))
        loss: Tensor = (
            weight * _TargetKL.apply(student, teacher, index, temperature, odds) + self.non_target_weight * rest
        )
        return loss


def _possible_rows(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Make rows whose classes one side excludes all equal, so that they add nothing: they have no distribution."""
    nothing = torch.isneginf(student.amax(-1, keepdim=True)) | torch.isneginf(teacher.amax(-1, keepdim=True))
    return student.masked_fill(nothing, 0.0), teacher.masked_fill(nothing, 0.0)


class _Others(torch.autograd.Function):
    """Logits (B, C - 1) without the class `index` (B, 1) of each row: the last one takes its place."""

    @staticmethod
    def forward(ctx: Context, logits: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return logits.scatter(-1, index, logits[..., -1:])[..., :-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, upstream: Tensor) -> tuple[Tensor, None]:
        index = ctx.saved_tensors[0]
        gradient = torch.nn.functional.pad(upstream, (0, 1))
        gradient[..., -1:] = gradient.gather(-1, index)
        return gradient.scatter_(-1, index, 0.0), None


class _Target(NamedTuple):
    """What the pair (p, 1 - p) of the target class is computed from."""

    largest: Tensor
    """The largest logit of the other classes, shape (B, 1)."""
    log_odds: Tensor
    """log p / (1 - p), shape (B, 1)."""
    others: Tensor
    """Probabilities among the other classes, shape (B, C), 0 for the target."""


class _TargetKL(torch.autograd.Function):
    """Mean KL of the pairs (p, 1 - p) of the class `index` (B, 1): softplus's Bregman divergence of their log-odds."""

    @staticmethod
    def forward(
        ctx: Context, student: Tensor, teacher: Tensor, index: Tensor, temperature: Tensor, odds: "_Odds"
    ) -> Tensor:
        ours, theirs, finite = odds
        p = theirs.log_odds.sigmoid()
        unit = temperature * index.numel()
        student_slope = (ours.log_odds.sigmoid() - p) / unit
        teacher_slope = p * (1.0 - p) * (theirs.log_odds - ours.log_odds) / unit
        if not finite:
            # Where p is 0 or 1 the teacher's logits do not move it.
            teacher_slope = teacher_slope.masked_fill((p == 0.0) | (p == 1.0), 0.0)
        ctx.save_for_backward(index, ours.others, theirs.others, student_slope, teacher_slope)
        return _kl_of_odds(ours.log_odds, theirs.log_odds, p, finite).sum() / max(1, index.numel())

    @staticmethod
    @once_differentiable
    def backward(ctx: Context, upstream: Tensor) -> tuple[Tensor | None, ...]:
        index, student_others, teacher_others, student_slope, teacher_slope = ctx.saved_tensors

        def pull_back(slope: Tensor, others: Tensor) -> Tensor:
            slope = upstream * slope
            return (-slope * others).scatter_(-1, index, slope)

        to_student = pull_back(student_slope, student_others) if ctx.needs_input_grad[0] else None
        to_teacher = pull_back(teacher_slope, teacher_others) if ctx.needs_input_grad[1] else None
        return to_student, to_teacher, None, None, None


def _kl_of_odds(ours: Tensor, theirs: Tensor, p: Tensor, finite: bool) -> Tensor:
    """Compute KL of the pairs (p, 1 - p) from the log-odds of student and teacher; both may be infinite."""
    softplus = torch.nn.functional.softplus
    values = softplus(ours) - softplus(theirs) - p * (ours - theirs)
    if finite:
        return values
    # A certain teacher leaves -log q of what it is certain of; a certain student is infinitely far from others.
    values = torch.where(torch.isinf(ours), torch.inf, torch.where(p == 0.0, softplus(ours), values))
    values = torch.where(theirs == torch.inf, softplus(-ours), values)
    return torch.where(theirs == -torch.inf, softplus(ours), values)


class _Odds(NamedTuple):
    """The target class of student and teacher, and whether all log-odds are known to be finite."""

    student: _Target
    teacher: _Target
    finite: bool


def _odds(student: Tensor, teacher: Tensor, index: Tensor, temperature: Tensor) -> _Odds:
    """Compute the target of both sides; its log-odds are +inf where all other classes are excluded."""
    ours = _target(student / temperature, index)
    theirs = _target(teacher / temperature, index)
    total = (ours.log_odds + theirs.log_odds).sum()
    if can_read_without_sync(total) and math.isfinite(total.item()):
        return _Odds(ours, theirs, finite=True)
    return _Odds(_without_others(ours), _without_others(theirs), finite=False)


def _without_others(target: _Target) -> _Target:
    """Replace what is 0/0 where all other classes are excluded."""
    alone = torch.isneginf(target.largest)
    return _Target(target.largest, target.log_odds.masked_fill(alone, torch.inf), target.others.masked_fill(alone, 0.0))


def _target(logits: Tensor, index: Tensor) -> _Target:
    """Compute log-odds of the class `index` and the probabilities among the others."""
    others = logits.scatter(-1, index, -torch.inf)
    probabilities = others.softmax(-1)
    largest = others.amax(-1, True)
    # log Σ exp = z - log p, here of the most probable class.
    log_odds = logits.gather(-1, index) - largest + probabilities.amax(-1, True).log()
    return _Target(largest, log_odds, probabilities)
