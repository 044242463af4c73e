"""The larger of two divergences, as in AlphaNet."""

from typing import NamedTuple

import torch
from torch import Tensor

from lightning_abkd._utils import check_finite, check_positive
from lightning_abkd.functional import promote_to_float32
from lightning_abkd.losses._base import (
    DistillationLoss,
    Reduction,
    check_logits,
    check_reduction,
    reduce,
    without_masked,
)
from lightning_abkd.losses._divergence import Divergence

# The log-probability of an excluded class: its power is 0, and two of them differ by 0 instead of NaN.
_FAR = 1e18


class LargerDivergence(DistillationLoss):
    r"""The larger of two losses of a batch, which couples the batch's samples.

    ABKD's released code calls this AlphaNet, with two α-divergences over whole batches. The original AlphaNet is
    `AdaptiveAlphaDivergence`.

    .. math::

        L = \max(L_1, L_2)

    where:

    - L₁, L₂ -> `first`, `second`; in the released code `AlphaDivergence` at α and at β.

    Args:
        first: A divergence.
        second: Another one.

    Example:
        >>> from lightning_abkd.losses import AlphaDivergence
        >>> loss = LargerDivergence(AlphaDivergence(0.3), AlphaDivergence(0.7))
        >>> round(loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3915
    """

    def __init__(self, first: Divergence, second: Divergence) -> None:
        super().__init__()
        self.first = first
        self.second = second

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute both losses and return the larger, without waiting for the device; arguments as in `Divergence`."""
        first = self.first(student_logits, teacher_logits, mask)
        return torch.maximum(first, self.second(student_logits, teacher_logits, mask))


class _Order(NamedTuple):
    """An α-divergence and the surrogate that has its clipped gradient, shape (...)."""

    value: Tensor
    surrogate: Tensor


class AdaptiveAlphaDivergence(DistillationLoss):
    r"""AlphaNet's adaptive α-divergence: for each sample the gradient of the larger of two α-divergences.

    Paper: Wang et al. 2021, arXiv 2102.07954. The authors advise to clip gradients at 1.

    .. math::

        L = -\sum_k q_k \, \rho_k \log q_k, \qquad
        \rho_k = \frac{r_k}{\alpha} + \frac{1}{\alpha (\alpha - 1)}, \qquad
        r_k = \min\big( (p_k / q_k)^\alpha, c \big)

    where:

    - p, q -> softmax of `teacher_logits`, `student_logits` of `forward`; the factors q_k ρ_k are constants for the
      gradient. At α = 1, ρ_k = p_k / q_k.
    - α -> `alpha_min` or `alpha_max`, whichever has the larger :math:`\sum_k q_k (r_k - 1) / (\alpha (\alpha - 1))`;
      forward KL at α = 1. The paper uses -1 and 1.
    - c -> `clip`: greater than 0; the paper uses 5.

    L is a surrogate: it has the clipped gradient of the divergence but is not a divergence itself, so its value cannot
    be compared with other losses.

    Args:
        alpha_min: Lower order α, any finite number but 0.
        alpha_max: Upper order α, any finite number but 0; 1 is forward KL.
        clip: Bound of (p/q)^α.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If an order is 0 or not finite, `clip` is not positive, or `reduction` is unknown.

    Example:
        >>> student = torch.tensor([[2.0, 0.0]], requires_grad=True)
        >>> AdaptiveAlphaDivergence()(student, torch.tensor([[0.0, 0.0]])).backward()
        >>> [round(slope, 4) for slope in student.grad[0].tolist()]
        [0.3808, -0.3808]
    """

    def __init__(
        self, alpha_min: float = -1.0, alpha_max: float = 1.0, clip: float = 5.0, reduction: Reduction = "mean"
    ) -> None:
        _check_order("alpha_min", alpha_min)
        _check_order("alpha_max", alpha_max)
        check_positive("clip", clip)
        check_reduction(reduction)
        super().__init__()
        self.alpha_min = alpha_min
        self.alpha_max = alpha_max
        self.clip = clip
        self.reduction: Reduction = reduction

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the surrogate of a batch; shapes and errors as in `Divergence`."""
        check_logits(student_logits, teacher_logits, mask)
        student = without_masked(promote_to_float32(student_logits), mask)
        teacher = without_masked(promote_to_float32(teacher_logits.detach()), mask)
        log_q = torch.log_softmax(student, -1).clamp(min=-_FAR)
        log_p = torch.log_softmax(teacher, -1).clamp(min=-_FAR)
        low = self._order(log_p, log_q, self.alpha_min)
        high = self._order(log_p, log_q, self.alpha_max)
        larger = torch.where(low.value > high.value, low.surrogate, high.surrogate)
        return reduce(larger, mask, self.reduction)

    def _order(self, log_p: Tensor, log_q: Tensor, alpha: float) -> _Order:
        """Compute divergence and surrogate of one order from finite log-probabilities."""
        d = log_p - log_q.detach()
        if alpha == 1.0:
            # q p/q: the quotient alone overflows for a small q.
            weight = log_p.exp()
            value = (weight * d).sum(-1)
        else:
            q = log_q.detach().exp()
            scale = 1.0 / (alpha * (alpha - 1.0))
            power = (alpha * d).exp().clamp(max=self.clip)
            weight = q * (power / alpha + scale)
            value = (q * (power - 1.0)).sum(-1) * scale
        return _Order(value, -(weight * log_q).sum(-1))


def _check_order(name: str, alpha: float) -> None:
    check_finite(name, alpha)
    if alpha == 0.0:
        raise ValueError(f"Parameter `{name}` should not be 0. Found `{name} = 0`. Use a small number.")
