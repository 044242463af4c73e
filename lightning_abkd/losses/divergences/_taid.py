"""Temporally adaptive interpolated distillation."""

import torch
from torch import Tensor

from lightning_abkd import functional
from lightning_abkd._utils import check_choice, check_interval, check_positive
from lightning_abkd.losses._base import Reduction
from lightning_abkd.losses._divergence import Divergence


class TAID(Divergence):
    r"""Forward KL from a target that moves from the student to the teacher as training succeeds (TAID).

    Paper: Shing et al. 2025, arXiv 2501.16937.

    .. math::

        L = \mathrm{KL}\big( \mathrm{softmax}((1 - t) z + t y) \,\|\, \mathrm{softmax}(z) \big)

    Training batches are counted from n = 0. After each batch but the first, with the loss :math:`L_n`, the momentum m
    and the position t move to

    .. math::

        m &\leftarrow \mu m + (1 - \mu) \frac{L_{n-1} - L_n}{L_{n-1} + 10^{-15}} \\
        t &\leftarrow \min\Big( t_1, \max\big( t + \eta \, \sigma(m) (1 - t), \;
            t_0 + (t_1 - t_0) \tfrac{n}{N} \big) \Big)

    where:

    - z, y -> `student_logits`, `teacher_logits` of `forward`, over the temperature; z is a constant in the target.
    - t₀ -> `start`, t₁ -> `end`: 0 <= t₀ <= t₁ <= 1; the paper uses 0.4 and 1.
    - N -> `total_steps`: greater than 0.
    - η -> `step_size`; the paper uses 5e-4.
    - μ -> `momentum`: in [0, 1); the paper uses 0.99.

    The released code measures the improvement on the cross-entropy from the target; here it is the divergence that the
    paper defines. t, m, the last loss and the count of batches are buffers, saved in checkpoints.

    Args:
        total_steps: N. After the training batch n = N, t has reached `end` at the latest.
        start: First t, in [0, 1].
        end: Last t, in [0, 1].
        step_size: Largest step of t.
        momentum: Weight of the past in m, in [0, 1).
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
        check_interval("momentum", momentum, "[0, 1)")
        check_choice("reduction", reduction, ("mean", "sum"), "t follows one loss per batch.")
        super().__init__(temperature, scale_by_temperature, reduction)
        self.total_steps = total_steps
        self.start = start
        self.end = end
        self.step_size = step_size
        self.momentum = momentum
        self.hyperparameter("t", start)
        self.hyperparameter("improvement", 0.0)
        self.hyperparameter("last_loss", 0.0)
        self.hyperparameter("batches", 0.0)

    def pointwise(self, log_p: Tensor, log_q: Tensor) -> Tensor:
        """Compute the divergence of each position from the moving target, shape (..., V) to (...)."""
        # At t = 0 and t = 1 the logarithm of one side has the weight 0, and 0 times -inf would be NaN.
        target = torch.lerp(log_q.detach(), log_p, self.t.clone()).nan_to_num(nan=-torch.inf, neginf=-torch.inf)
        return functional.forward_kl(torch.log_softmax(target, -1), log_q)

    @torch.no_grad()
    def on_loss(self, loss: Tensor) -> None:
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
