"""The mean over all counted positions of an optimizer step, however they are split into micro-batches and ranks."""

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer


class StepMean:
    """Turns gradients of sums into the gradient of the mean over one optimizer step.

    A micro-batch contributes Σ / unit, with one constant `unit` for all ranks, and its count of positions. Before the
    optimizer steps (gradients unscaled, not yet clipped) they are multiplied by
    unit · micro-batches a step · ranks / Σ counts, which undoes the trainer's averages. A count is a number where the
    batch's size gives it and a tensor where a mask does, so that nothing waits for the device.
    """

    def __init__(self) -> None:
        self._unit: float | None = None
        self._count: int | Tensor = 0

    def add(self, mean: Tensor, count: int | Tensor, positions: int, trainer: Trainer) -> Tensor:
        """Note the counted positions of a micro-batch and turn its mean loss into Σ / unit."""
        if self._unit is None:
            self._unit = float(trainer.strategy.broadcast(max(positions, 1)))
        self._count = self._count + count
        if isinstance(count, int) and count == self._unit:
            return mean
        return mean * count / self._unit

    @torch.no_grad()
    def finish(self, optimizer: Optimizer, trainer: Trainer) -> None:
        """Rescale the gradients of a step; without noted positions nothing happens."""
        count, self._count = self._count, 0
        if self._unit is None or (isinstance(count, int) and count == 0):
            return
        whole = self._unit * trainer.accumulate_grad_batches * trainer.world_size
        if isinstance(count, int) and trainer.world_size == 1:
            factor: float | Tensor = whole / count
        else:
            device = trainer.strategy.root_device
            dtype = torch.float32 if device.type == "mps" else torch.float64
            # full, because a number that is copied to the device waits for it
            counts = count.to(dtype) if isinstance(count, Tensor) else torch.full((), count, dtype=dtype, device=device)
            factor = whole / trainer.strategy.reduce(counts, reduce_op="sum").clamp(min=1)
        if isinstance(factor, float) and factor == 1.0:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if gradients:
            torch._foreach_mul_(gradients, factor)
