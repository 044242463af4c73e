"""The larger of two divergences, as AlphaNet takes it."""

import torch
from torch import Tensor

from lightning_abkd.losses._base import DistillationLoss, Reduction, check_finite, check_logits, check_positive, reduce
from lightning_abkd.losses._divergence import Divergence, wide


class LargerDivergence(DistillationLoss):
    """The larger of two losses over a batch, which couples the batch's samples.

    ABKD's released code calls max(AB(α, 1 - α), AB(β, 1 - β)) of whole batches AlphaNet: `first` and `second` are then
    two `AlphaDivergence`. Not the original AlphaNet, which is `AdaptiveAlphaDivergence`.

    Args:
        first: A divergence.
        second: Another one.

    Example:
        >>> from lightning_abkd.losses.divergences._alpha_beta import AlphaDivergence
        >>> loss = LargerDivergence(AlphaDivergence(0.3), AlphaDivergence(0.7))
        >>> round(loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])).item(), 4)
        0.3915
    """

    def __init__(self, first: Divergence, second: Divergence) -> None:
        super().__init__()
        self.first, self.second = first, second

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute both losses and give the larger, without waiting for the device."""
        first, second = (loss(student_logits, teacher_logits, mask) for loss in (self.first, self.second))
        return torch.maximum(first, second)


class AdaptiveAlphaDivergence(DistillationLoss):
    """AlphaNet's adaptive α-divergence: for each sample the gradient of the larger of two α-divergences.

    Wang et al. 2021, arXiv 2102.07954. With ratios p/q and their power clipped, the value is the surrogate
    -Σ q ρ log q, q and ρ detached, whose gradient is that of the divergence; it is no divergence itself and its value
    is not comparable with others. The authors advise to clip gradients at 1.

    Args:
        alpha_min: Lower order α, neither 0 nor 1.
        alpha_max: Upper order α; 1 is forward KL.
        clip: Bound of (p/q)^α.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: If an order is 0 or not finite, or `clip` is not positive.
    """

    def __init__(
        self, alpha_min: float = -1.0, alpha_max: float = 1.0, clip: float = 5.0, reduction: Reduction = "mean"
    ) -> None:
        for name, value in {"alpha_min": alpha_min, "alpha_max": alpha_max}.items():
            check_finite(name, value)
            if value == 0.0:
                raise ValueError(f"Parameter `{name}` should not be 0. Found `{name} = 0`. Use a small number.")
        check_positive("clip", clip)
        super().__init__()
        self.alpha_min, self.alpha_max, self.clip = alpha_min, alpha_max, clip
        self.reduction: Reduction = reduction

    def forward(self, student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the surrogate of a batch; shapes and errors as for `Divergence`."""
        check_logits(student_logits, teacher_logits, mask)
        log_q, log_p = (torch.log_softmax(wide(x), -1) for x in (student_logits, teacher_logits.detach()))
        (low, low_surrogate), (high, high_surrogate) = (
            self._order(log_p, log_q, alpha) for alpha in (self.alpha_min, self.alpha_max)
        )
        return reduce(torch.where(low > high, low_surrogate, high_surrogate), mask, self.reduction)

    def _order(self, log_p: Tensor, log_q: Tensor, alpha: float) -> tuple[Tensor, Tensor]:
        """Compute divergence and surrogate of one order, shapes (...)."""
        q, d = log_q.detach().exp(), log_p - log_q.detach()
        if alpha == 1.0:
            value, rho = (q * d.exp() * d).sum(-1), d.exp()
        else:
            scale, power = 1.0 / (alpha * (alpha - 1.0)), (alpha * d).exp().clamp(max=self.clip)
            value, rho = (q * (power - 1.0)).sum(-1) * scale, power / alpha + scale
        return value, -(q * rho * log_q).sum(-1)
