"""The mean over all counted positions of an optimizer step, however they are split into micro-batches and ranks."""

from collections.abc import Mapping

import torch
from lightning.pytorch import Trainer
from torch import Tensor
from torch.optim import Optimizer

from lightning_abkd.distributed import sum_over_ranks
from lightning_abkd.training._pieces import local_gradients


class StepMean:
    """Turns gradients of sums into the gradient of the mean over one optimizer step.

    A micro-batch contributes (sum of its losses) / unit and counts its positions; `unit` is one constant that all ranks
    agree on. Once gradients are unscaled, before they are clipped, they are multiplied by
    unit · micro-batches per step · ranks / (sum of counts). This undoes the averages that the trainer takes. A count is
    a number if it follows from the batch's size and a tensor if it follows from a mask, so that nothing waits for the
    device.

    A strategy that keeps the gradients for itself, such as DeepSpeed, lets nobody multiply them. There each micro-batch
    has its weight, ranks / (its count over all ranks), before its backward pass. With several micro-batches a step this
    is the mean over the step only if they count equally many positions, and an error if they do not.

    Nothing of it lives longer than a fit, but for what a checkpoint holds: it starts empty in each, and a copy of it is
    empty, too.

    Attributes:
        is_open: Whether a step has begun and has not ended.
    """

    is_open: bool
    _count: int | Tensor
    _count_of_micro_batch: float | None

    def __init__(self) -> None:
        self.start()

    def __deepcopy__(self, memo: dict[int, object]) -> "StepMean":
        return StepMean()

    def start(self) -> None:
        """Forget what an earlier fit has counted, and its unit."""
        self._unit: float | None = None
        self.start_step()

    def state(self, trainer: Trainer) -> dict[str, float]:
        """Return the unit, and where a step is open the positions that all ranks have counted so far."""
        if self._unit is None:
            return {}
        state = {"unit": self._unit}
        return state | {"count": float(_summed(self._count, trainer))} if self.is_open else state

    def go_on(self, state: Mapping[str, float], is_first: bool) -> None:
        """Go on from the state of a checkpoint; the first rank takes what all had counted."""
        self._unit = state.get("unit", self._unit)
        self.is_open = "count" in state
        self._count = int(state.get("count", 0)) if is_first else 0

    def start_step(self) -> None:
        """Forget what an earlier step has counted."""
        self._count = 0
        self._count_of_micro_batch = None
        self.is_open = False

    def add(self, mean: Tensor, count: int | Tensor, positions: int, trainer: Trainer) -> Tensor:
        """Count the positions of a micro-batch and turn its mean loss into its part of the step's.

        Args:
            mean: Mean loss over the counted positions, shape ().
            count: Number of counted positions.
            positions: Number of all positions; that of the first batch becomes the unit.
            trainer: The trainer, whose ranks agree on the unit.

        Returns:
            The mean loss, with the gradient of (sum of its losses) / unit. So callbacks that read the loss, such as the
            search for a learning rate, see values that do not depend on how many positions a batch counts.
        """
        if trainer.strategy.handles_gradient_accumulation:
            return self._weighted_now(mean, count, trainer)
        if self._unit is None:
            self._unit = float(trainer.strategy.broadcast(max(positions, 1)))
        self._count = self._count + count
        self.is_open = True
        if isinstance(count, int) and count == self._unit:
            return mean
        part = mean * count / self._unit
        return part + (mean - part).detach()

    def _weighted_now(self, mean: Tensor, count: int | Tensor, trainer: Trainer) -> Tensor:
        total = _summed(count, trainer)
        if trainer.accumulate_grad_batches > 1:
            self._check_equal(float(total), trainer)
        part = mean * (count * trainer.world_size / total.clamp(min=1)).to(mean.dtype)
        return part + (mean - part).detach()

    def _check_equal(self, total: float, trainer: Trainer) -> None:
        if self._count_of_micro_batch not in (None, total):
            raise ValueError(
                f"{type(trainer.strategy).__name__} weights the micro-batches of a step equally, so that they should "
                f"count equally many positions. Found {self._count_of_micro_batch:g} and {total:g}. Set "
                "`trainer.accumulate_grad_batches: 1`, or take ddp or ModelParallelStrategy."
            )
        self._count_of_micro_batch = total

    @torch.no_grad()
    def finish(self, optimizer: Optimizer, trainer: Trainer) -> None:
        """Rescale the gradients of a step; a step without counted positions is left as it is."""
        count = self._count
        self.start_step()
        # What the other ranks count is not known yet.
        if self._unit is None or (isinstance(count, int) and count == 0 and trainer.world_size == 1):
            return
        factor = _factor(self._unit * trainer.accumulate_grad_batches * trainer.world_size, count, trainer)
        gradients = local_gradients(optimizer)
        if gradients and not (isinstance(factor, float) and factor == 1.0):
            torch._foreach_mul_(gradients, factor)


def _factor(whole: float, count: int | Tensor, trainer: Trainer) -> float | Tensor:
    """Divide by the count of all ranks; the result is a number on a single rank that knows its count, else a tensor."""
    if isinstance(count, int) and trainer.world_size == 1:
        return whole / count
    return whole / _summed(count, trainer).clamp(min=1)


def _summed(count: int | Tensor, trainer: Trainer) -> Tensor:
    """Add the counts of all ranks."""
    device = trainer.strategy.root_device
    dtype = torch.float32 if device.type == "mps" else torch.float64
    # torch.full, because copying a number to the device waits for it.
    counts = count.to(dtype) if isinstance(count, Tensor) else torch.full((), count, dtype=dtype, device=device)
    return sum_over_ranks(counts)
