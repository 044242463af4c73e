"""Temporally adaptive interpolated distillation."""

import torch
from torch import Tensor

from lightning_abkd import functional
from lightning_abkd.losses._base import Reduction, check_positive
from lightning_abkd.losses._divergence import Divergence


class TAID(Divergence):
    r"""Forward KL from a target that moves from the student to the teacher as training succeeds.

    Shing et al. 2025, arXiv 2501.16937. The target is softmax((1 - t) s + t y) of the student's detached logits s and
    the teacher's y. After each training batch t grows by step_size · sigmoid(m) · (1 - t), m an average of the relative
    improvement of the loss, and never falls behind the line from `start` to `end` over `total_steps`.

    The released code measures the improvement on the cross-entropy from the target; here it is the divergence that the
    paper defines. t, m, the last loss and the count of batches are buffers, saved in checkpoints.

    Args:
        total_steps: Training batches on the way to `end`.
        start: First t, in [0, 1]; the paper uses 0.4.
        end: Last t, in [0, 1].
        step_size: Largest step of t; the paper uses 5e-4.
        momentum: Weight of the past in m, in [0, 1); the paper uses 0.99.
        temperature: T > 0, see `Divergence`.
        scale_by_temperature: Multiply by T².
        reduction: "mean" or "sum".

    Raises:
        ValueError: If a parameter is outside its range.

    Example:
        >>> loss = TAID(total_steps=10)
        >>> for _ in range(3):
        ...     value = loss(torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]]))
        >>> round(loss.t.item(), 2)
        0.52
    """

    t: Tensor
    improvement: Tensor
    last_loss: Tensor
    batches: Tensor

    def __init__(
        self,
        total_steps: int,
        start: float = 0.4,
        end: float = 1.0,
        step_size: float = 5e-4,
        momentum: float = 0.99,
        temperature: float = 1.0,
        scale_by_temperature: bool = False,
        reduction: Reduction = "mean",
    ) -> None:
        check_positive("total_steps", total_steps)
        if not 0.0 <= start <= end <= 1.0:
            raise ValueError(
                f"Parameters should satisfy 0 <= `start` <= `end` <= 1. Found `start = {start}`, `end = {end}`."
            )
        if not 0.0 <= momentum < 1.0:
            raise ValueError(f"Parameter `momentum` should lie in [0, 1). Found `momentum = {momentum}`.")
        if reduction == "none":
            raise ValueError("Parameter `reduction` should be 'mean' or 'sum': t follows one loss. Found 'none'.")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.total_steps, self.start, self.end = total_steps, start, end
        self.step_size, self.momentum = step_size, momentum
        for name, value in {"t": start, "improvement": 0.0, "last_loss": 0.0, "batches": 0.0}.items():
            self.hyperparameter(name, value)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position from the moving target, shape (..., V) to (...)."""
        # A class at -inf on one side would be a NaN at an end of the way, where its weight is 0.
        target = torch.lerp(log_q.detach(), log_p, self.t).nan_to_num(nan=-torch.inf, neginf=-torch.inf)
        return functional.forward_kl(torch.log_softmax(target, -1), log_q)

    @torch.no_grad()
    def observe(self, loss: Tensor) -> None:
        """Move the target after a training batch."""
        started = self.batches > 0
        relative = (self.last_loss - loss) / (self.last_loss + 1e-15)
        average = self.momentum * self.improvement + (1.0 - self.momentum) * relative
        self.improvement.copy_(torch.where(started, average, self.improvement))
        line = self.start + (self.end - self.start) * self.batches / self.total_steps
        step = self.step_size * torch.sigmoid(self.improvement) * (1.0 - self.t)
        moved = torch.maximum(line, self.t + step).clamp(max=self.end)
        self.t.copy_(torch.where(started, moved, self.t))
        self.last_loss.copy_(loss)
        self.batches.add_(1)
