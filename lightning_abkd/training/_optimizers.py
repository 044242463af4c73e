"""The optimizer of a module and its learning-rate schedule, as Lightning takes them."""

from dataclasses import dataclass

from lightning.pytorch import LightningModule
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import LRSchedulerConfigType, OptimizerLRScheduler
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CyclicLR, LRScheduler, OneCycleLR, ReduceLROnPlateau

from lightning_abkd.training._learning_rate import learning_rate, set_learning_rate
from lightning_abkd.training._length import training_length
from lightning_abkd.training._positions import Interval, Positions, counted_by

DEFAULT_MONITOR = "val/loss"


@dataclass(frozen=True)
class Optimizers:
    """How parameters are optimized.

    Args:
        optimizer: Maps parameters to an optimizer.
        lr_scheduler: Maps the optimizer to a learning-rate scheduler; None keeps the rate.
        interval: Whether the scheduler steps after each "step" or "epoch"; None takes what it counts.
        monitor: Name of the logged value that a `ReduceLROnPlateau` watches.
    """

    optimizer: OptimizerCallable
    lr_scheduler: LRSchedulerCallable | None
    interval: Interval | None
    monitor: str

    def build(self, module: nn.Module, rate: float | None = None) -> OptimizerLRScheduler:
        """Build the optimizer over the trainable parameters of a module, and the learning-rate schedule.

        Args:
            module: The module.
            rate: Learning rate in place of the optimizer's own, of the first group; others keep their proportions.
        """
        optimizer = self.plain(module)
        if self.lr_scheduler is None:
            if rate is not None:
                set_learning_rate(optimizer, [], rate)
            return optimizer
        own = learning_rate(optimizer)
        positions = Positions(self.interval, lambda interval: _length(module, interval))
        with counted_by(positions):
            scheduler = self.lr_scheduler(optimizer)
        _say_what_overrides(scheduler, own, learning_rate(optimizer))
        if rate is not None:
            set_learning_rate(optimizer, [scheduler], rate)
        interval = positions.interval or _own_interval(scheduler)
        schedule = LRSchedulerConfigType(scheduler=scheduler, interval=interval, monitor=self._monitor(scheduler))
        if isinstance(scheduler, ReduceLROnPlateau) and isinstance(module, LightningModule):
            schedule["frequency"] = _frequency(module, schedule["monitor"] or "", interval)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def plain(self, module: nn.Module) -> Optimizer:
        """Build the optimizer alone."""
        return self.optimizer([parameter for parameter in module.parameters() if parameter.requires_grad])

    def _monitor(self, scheduler: LRScheduler) -> str:
        """Return the name of the value to watch; the scheduler of Lightning's command line has one of its own."""
        own: str | None = getattr(scheduler, "monitor", None)
        if own is None or own == self.monitor:
            return self.monitor
        if self.monitor != DEFAULT_MONITOR:
            raise ValueError(
                f"Only one of `lr_monitor` and the scheduler's `monitor` should be given. Found {self.monitor!r} and "
                f"{own!r}. Leave one of them out."
            )
        return own


def _length(module: nn.Module, interval: Interval) -> int:
    if not isinstance(module, LightningModule):
        raise ValueError("Parameter `total_steps` should be given, because there is no trainer. Found None.")
    return training_length(module.trainer, interval, "The learning-rate schedule")


def _own_interval(scheduler: LRScheduler) -> Interval:
    """Return what a scheduler of torch counts: batches for those that torch steps after each, else epochs."""
    return "step" if isinstance(scheduler, OneCycleLR | CyclicLR) else "epoch"


def _say_what_overrides(scheduler: LRScheduler, own: float, largest: float) -> None:
    if isinstance(scheduler, OneCycleLR) and own != largest:
        rank_zero_info(
            f"OneCycleLR takes its own `max_lr = {largest:g}`; the optimizer's `lr = {own:g}` has no effect. "
            "WholeCycleLR takes the optimizer's."
        )


def _frequency(module: LightningModule, monitor: str, interval: Interval) -> int:
    """Return after how many intervals the value that is watched is new.

    Raises:
        ValueError: If it is one of a validation that never runs.
    """
    if not monitor.startswith("val/") or interval == "step":
        return 1
    if not module.trainer.enable_validation:
        raise ValueError(
            f"ReduceLROnPlateau should watch a value that is logged. Found `lr_monitor = {monitor!r}` and no "
            "validation. Watch 'train/loss', or validate."
        )
    return module.trainer.check_val_every_n_epoch or 1
