"""Decoupled knowledge distillation."""

from typing import Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightning_abkd.losses._base import DistillationLoss, check_finite, check_logits
from lightning_abkd.losses._divergence import Divergence, wide
from lightning_abkd.losses.divergences._alpha_beta import ForwardKL


class DKD(DistillationLoss):
    """Target and non-target classes distilled apart (DKD), with any divergence on the non-target part.

    Zhao et al. 2022, arXiv 2203.08679: target_weight · KL(b_p‖b_q) + non_target_weight · D(p̂‖q̂) with b the pair
    (label's probability, rest) and p̂, q̂ renormalised without the label's class. With `ForwardKL` it is DKD, with
    `AlphaBetaDivergence` ABKD's AB-DKD. Temperature and T² are those of `divergence` and hold for both parts. The
    warm-up of DKD is a schedule of `non_target_weight` and `target_weight`, both live.

    Args:
        divergence: Divergence of the non-target part, of reduction "mean"; None takes `ForwardKL(4.0, True)`.
        target_weight: Weight of the target part; DKD's α.
        non_target_weight: Weight of the non-target part; DKD's β, chosen for each pair of networks.

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
        divergence = divergence or ForwardKL(4.0, scale_by_temperature=True)
        if divergence.reduction != "mean":
            raise ValueError(
                f"Parameter `divergence` should have the reduction 'mean'. Found {divergence.reduction!r}."
            )
        super().__init__()
        self.divergence = divergence
        self.hyperparameter("target_weight", target_weight)
        self.hyperparameter("non_target_weight", non_target_weight)

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            student_logits: Shape (B, C).
            teacher_logits: Shape (B, C).
            labels: Class indices, shape (B,).

        Returns:
            Scalar.

        Raises:
            ValueError: If shapes do not fit each other.
        """
        check_logits(student_logits, teacher_logits, None)
        if labels.shape != student_logits.shape[:-1]:
            expected, found = tuple(student_logits.shape[:-1]), tuple(labels.shape)
            raise ValueError(f"Parameter `labels` should have shape {expected}. Found {found}.")
        index, temperature = labels.unsqueeze(-1), self.divergence.temperature
        student, teacher = wide(student_logits), wide(teacher_logits)
        weight = self.target_weight * (temperature.square() if self.divergence.scale_by_temperature else 1.0)
        rest = self.divergence(*(_Others.apply(x, index) for x in (student, teacher)))
        loss: Tensor = weight * _TargetKL.apply(student, teacher, index, temperature) + self.non_target_weight * rest
        return loss


class _Context(Protocol):
    needs_input_grad: tuple[bool, ...]
    saved_tensors: tuple[Tensor, ...]

    def save_for_backward(self, *tensors: Tensor) -> None: ...


class _Others(torch.autograd.Function):
    """Logits (B, C - 1) without the class `index` (B, 1) of each row: the last one takes its place."""

    @staticmethod
    def forward(ctx: _Context, logits: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        return logits.scatter(-1, index, logits[..., -1:])[..., :-1]

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        gradient = torch.nn.functional.pad(upstream, (0, 1))
        gradient[..., -1:] = gradient.gather(-1, index)
        return gradient.scatter_(-1, index, 0.0), None


class _TargetKL(torch.autograd.Function):
    """Mean KL of the pairs (p, 1 - p) of the class `index` (B, 1): softplus's Bregman divergence of log p/(1 - p)."""

    @staticmethod
    def forward(ctx: _Context, student: Tensor, teacher: Tensor, index: Tensor, temperature: Tensor) -> Tensor:
        (gap, others), (target, targets_others) = (_gap(x / temperature, index) for x in (student, teacher))
        p, unit = target.sigmoid(), temperature * index.numel()
        slopes = (gap.sigmoid() - p) / unit, p * (1.0 - p) * (target - gap) / unit
        ctx.save_for_backward(index, others, targets_others, *slopes)
        softplus = torch.nn.functional.softplus
        return (softplus(gap) - softplus(target) - p * (gap - target)).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, upstream: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        index, *saved = ctx.saved_tensors
        gradients = []
        for others, slope, needed in zip(saved[:2], saved[2:], ctx.needs_input_grad, strict=False):
            slope = upstream * slope
            gradients.append((-slope * others).scatter_(-1, index, slope) if needed else None)
        return gradients[0], gradients[1], None, None


def _gap(logits: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Compute log p/(1 - p) of the class `index`, shape (B, 1), and the probabilities (B, C) among the others."""
    others = logits.scatter(-1, index, -torch.inf)
    probabilities = others.softmax(-1)
    # log Σ exp = z - log p, here of the most probable class.
    return logits.gather(-1, index) - others.amax(-1, True) + probabilities.amax(-1, True).log(), probabilities
