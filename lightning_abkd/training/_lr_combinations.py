"""Combinations of learning-rate schedules that a config can write."""

from lightning.pytorch.cli import LRSchedulerCallable
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ChainedScheduler,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

from lightning_abkd.training._positions import part_of_training

# Their rate is a function of the step, whatever the rate was before it.
_SETTING = (CosineAnnealingWarmRestarts, CyclicLR, LambdaLR, OneCycleLR, ReduceLROnPlateau, SequentialLR)


class SequenceLR(SequentialLR):
    """Torch's `SequentialLR`, from schedules that a config can write.

    In YAML::

        lr_scheduler:
          class_path: lightning_abkd.modules.SequenceLR
          init_args:
            schedulers:
              - {class_path: torch.optim.lr_scheduler.LinearLR, init_args: {total_iters: 5}}
              - {class_path: torch.optim.lr_scheduler.ExponentialLR, init_args: {gamma: 0.9}}
            milestones: [5]

    Args:
        optimizer: The optimizer.
        schedulers: Each maps the optimizer to a schedule. One that knows the length of the training spans its own part.
        milestones: Ascending positions at which the next schedule begins, one fewer than schedules.

    Raises:
        ValueError: If there are not as many milestones as it takes.

    Example:
        >>> import torch
        >>> from torch.optim.lr_scheduler import ConstantLR, ExponentialLR
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> parts = [lambda o: ConstantLR(o, 0.1), lambda o: ExponentialLR(o, 0.9)]
        >>> SequenceLR(optimizer, parts, milestones=[2]).get_last_lr()
        [0.1]
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRSchedulerCallable], milestones: list[int]) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Parameter `milestones` should hold one number fewer than `schedulers`. "
                f"Found {len(milestones)} milestones and {len(schedulers)} schedules."
            )
        built = []
        for scheduler, start, end in zip(schedulers, [0, *milestones], [*milestones, None], strict=True):
            with part_of_training(start, end):
                built.append(scheduler(optimizer))
        super().__init__(optimizer, built, milestones)


class ProductLR(ChainedScheduler):
    """Torch's `ChainedScheduler`, the product of the factors of schedules that a config can write.

    Args:
        optimizer: The optimizer.
        schedulers: Each maps the optimizer to a schedule that multiplies the rate, written as for `SequenceLR`.

    Raises:
        ValueError: If one of them sets the rate, as `WarmupCosineLR` and torch's `LambdaLR` do.

    Example:
        >>> import torch
        >>> from torch.optim.lr_scheduler import ConstantLR, ExponentialLR
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> ProductLR(optimizer, [lambda o: ConstantLR(o, 0.1), lambda o: ExponentialLR(o, 0.9)]).get_last_lr()
        [0.1]
    """

    def __init__(self, optimizer: Optimizer, schedulers: list[LRSchedulerCallable]) -> None:
        built = [scheduler(optimizer) for scheduler in schedulers]
        for scheduler in built:
            if isinstance(scheduler, _SETTING):
                name = type(scheduler).__name__
                raise ValueError(
                    f"Parameter `schedulers` should hold schedules that multiply the rate. Found {name}, which sets "
                    "it, so that the others would have no effect. Take SequenceLR for one after the other."
                )
        super().__init__(built, optimizer)
