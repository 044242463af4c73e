"""The optimizer of a module and its learning-rate schedule, as Lightning takes them."""

from dataclasses import dataclass
from typing import Literal

from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import nn


@dataclass(frozen=True)
class Optimizers:
    """How parameters are optimized.

    Args:
        optimizer: Maps parameters to an optimizer.
        lr_scheduler: Maps the optimizer to a learning-rate scheduler; None keeps the rate.
        interval: Whether the scheduler steps after each "step" or "epoch".
        monitor: Name of the logged value that a `ReduceLROnPlateau` watches.
    """

    optimizer: OptimizerCallable
    lr_scheduler: LRSchedulerCallable | None
    interval: Literal["step", "epoch"]
    monitor: str

    def build(self, module: nn.Module) -> OptimizerLRScheduler:
        """Build the optimizer over the trainable parameters of a module, and the learning-rate schedule."""
        optimizer = self.optimizer([parameter for parameter in module.parameters() if parameter.requires_grad])
        if self.lr_scheduler is None:
            return optimizer
        scheduler = self.lr_scheduler(optimizer)
        schedule = LRSchedulerConfigType(scheduler=scheduler, interval=self.interval, monitor=self.monitor)
        return {"optimizer": optimizer, "lr_scheduler": schedule}
