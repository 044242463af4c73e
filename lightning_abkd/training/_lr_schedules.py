"""Learning-rate schedules that know how long the training is, for configs and Python."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from lightning_abkd._utils import check_interval
from lightning_abkd.training._positions import total_of, warmup_of

TransformersSchedule = Literal[
    "constant",
    "constant_with_warmup",
    "cosine",
    "cosine_with_min_lr",
    "cosine_with_restarts",
    "inverse_sqrt",
    "linear",
    "polynomial",
    "warmup_stable_decay",
]


class WarmupCosineLR(LambdaLR):
    r"""A linear warm-up followed by half a cosine wave down, of which nobody has to count the steps.

    .. math::

        \eta_i = \eta \frac{i}{w} \quad (i < w), \qquad
        \eta_i = \eta \Big( m + (1 - m) \frac{1 + \cos(\pi (i - w) / (n - w))}{2} \Big) \quad (i \ge w)

    where:

    - η -> the optimizer's own rate, of each group.
    - i -> index of the step, from 0.
    - w -> `warmup_steps`; n -> `total_steps`; m -> `min_lr_ratio`: in [0, 1].

    In a config `lr_scheduler: {class_path: WarmupCosineLR, init_args: {warmup_steps: 0.1}}`, on the command line
    `--model.lr_scheduler WarmupCosineLR --model.lr_scheduler.warmup_steps 100`. A `DistillationModule` moves it after
    each step unless its `lr_interval` is "epoch"; then all numbers are epochs.

    Args:
        optimizer: The optimizer.
        warmup_steps: Steps from 0 to the full rate; a number below 1 is a share of all steps.
        total_steps: Number of all steps; None takes that of the training.
        min_lr_ratio: Rate at the end as a share of the full one.

    Raises:
        ValueError: If a number is outside its range, or the length of the training is unknown.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> WarmupCosineLR(optimizer, warmup_steps=2, total_steps=10).lr_lambdas[0](1)
        0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        warmup_steps: float = 0,
        total_steps: int | None = None,
        min_lr_ratio: float = 0.0,
    ) -> None:
        check_interval("min_lr_ratio", min_lr_ratio, "[0, 1]")
        total = total_of(total_steps)
        # A function's numbers are no state: a run that is resumed to another length follows that.
        super().__init__(optimizer, _after_warmup(warmup_of(warmup_steps, total), total, min_lr_ratio, self._fall))

    @staticmethod
    def _fall(progress: float) -> float:
        """Compute the factor after the warm-up, from 1 down to 0, for a progress between 0 and 1."""
        return 0.5 * (1.0 + math.cos(math.pi * progress))


class WarmupLinearLR(WarmupCosineLR):
    """A linear warm-up followed by a straight line down; arguments and errors as for `WarmupCosineLR`.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> WarmupLinearLR(optimizer, warmup_steps=2, total_steps=10).lr_lambdas[0](6)
        0.5
    """

    @staticmethod
    def _fall(progress: float) -> float:
        """Compute the factor after the warm-up."""
        return 1.0 - progress


class WarmupConstantLR(LambdaLR):
    """A linear warm-up after which the rate stays; arguments and errors as for `WarmupCosineLR`.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> [WarmupConstantLR(optimizer, warmup_steps=4).lr_lambdas[0](i) for i in (1, 9)]
        [0.25, 1.0]
    """

    def __init__(self, optimizer: Optimizer, warmup_steps: float = 0, total_steps: int | None = None) -> None:
        warmup = warmup_of(warmup_steps, total_steps)
        super().__init__(optimizer, lambda step: min(1.0, step / warmup) if warmup else 1.0)


class WholeCycleLR(OneCycleLR):
    """Torch's `OneCycleLR` up to the optimizer's own rate, over the whole training; the momentum stays.

    Args:
        optimizer: The optimizer; the rate of each group is the largest one of its cycle.
        total_steps: Number of all steps; None takes that of the training.
        pct_start: Share of the steps in which the rate rises, in (0, 1).
        anneal_strategy: Shape of rise and fall.
        div_factor: The largest rate divided by the first one.
        final_div_factor: The first rate divided by the last one.

    Raises:
        ValueError: If `pct_start` is outside its range, or the length of the training is unknown.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> round(WholeCycleLR(optimizer, total_steps=10).get_last_lr()[0], 4)
        0.04
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
    ) -> None:
        check_interval("pct_start", pct_start, "(0, 1)")
        super().__init__(
            optimizer,
            [float(group["lr"]) for group in optimizer.param_groups],
            # The last step is taken at the last rate, after which Lightning moves the schedule once more.
            total_of(total_steps) + 1,
            pct_start=pct_start,
            anneal_strategy=anneal_strategy,
            cycle_momentum=False,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
        )

    def load_state_dict(self, state_dict: dict[str, object]) -> None:
        """Go on where a checkpoint was, in a cycle of the length of this training."""
        length = ("total_steps", "_schedule_phases")
        super().load_state_dict({name: value for name, value in state_dict.items() if name not in length})


class TransformersLR(LambdaLR):
    """A schedule of transformers by the name that its trainer knows, over the whole training.

    Args:
        optimizer: The optimizer.
        name: Name of the schedule, as for `transformers.get_scheduler`.
        warmup_steps: As for `WarmupCosineLR`.
        total_steps: Number of all steps; None takes that of the training.
        options: What this schedule takes beside them, such as `num_cycles` or `min_lr_rate`.

    Raises:
        ValueError: If the length of the training is unknown.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> TransformersLR(optimizer, "linear", warmup_steps=2, total_steps=10).lr_lambdas[0](6)
        0.5
    """

    def __init__(
        self,
        optimizer: Optimizer,
        name: TransformersSchedule = "linear",
        warmup_steps: float = 0,
        total_steps: int | None = None,
        options: dict[str, float] | None = None,
    ) -> None:
        from transformers import get_scheduler

        total = total_of(total_steps)
        # A schedule moves its optimizer once when it is built, so it is built for another one.
        other = torch.optim.SGD([torch.zeros(1)], lr=float(optimizer.param_groups[0]["lr"]))
        built: LambdaLR = get_scheduler(name, other, warmup_of(warmup_steps, total), total, options)
        super().__init__(optimizer, built.lr_lambdas[0])


def _after_warmup(warmup: int, total: int, lowest: float, fall: Callable[[float], float]) -> Callable[[int], float]:
    def factor(step: int) -> float:
        if step < warmup:
            return step / warmup
        progress = min(1.0, (step - warmup) / max(1, total - warmup))
        return lowest + (1.0 - lowest) * fall(progress)

    return factor
