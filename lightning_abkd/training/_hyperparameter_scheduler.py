"""A callback that sets any number of a module."""

from collections.abc import Mapping
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from lightning_abkd._utils import check_choice
from lightning_abkd.schedules import Constant, Schedule
from lightning_abkd.training._length import training_length
from lightning_abkd.training._lightning import averages_of, callbacks_of
from lightning_abkd.training._non_finite_guard import skipped_steps
from lightning_abkd.training._scheduled_number import ScheduledNumber
from lightning_abkd.training._step_log import is_logged

# Stands for the length of a training that no schedule asks for.
_ENDLESS = 2**62


class HyperparameterScheduler(Callback):
    """Sets numbers of a LightningModule by schedules, before each training batch, and logs them.

    A dotted path names an attribute that is a number or a 0-dim floating tensor: "divergence.temperature",
    "task_weight", or "divergence.crd_weight", the weight of the term "crd" of a `WeightedSum`. Tensors are changed in
    place, so that compiled code stays valid. All micro-batches of an optimizer step see the same value. The values are
    functions of the trainer's step or epoch, so that a resumed run continues exactly. Steps that `NonFiniteGuard` skips
    do not count.

    An option of a number that is scheduled has no effect. It should be left out or be the schedule's first value;
    another one is refused, in Python as in a config.

    Args:
        schedules: A schedule, or a constant, for each path.
        interval: Whether positions are optimizer steps ("step") or epochs ("epoch").

    Raises:
        ValueError: If `schedules` is empty. At the start of a fit, if the length of training is unknown and a schedule
            needs it, or if a number has another option, is a constant such as the α and β of `ReverseKL`, is trained,
            or is set by another scheduler, too.
        AttributeError: At the start of a fit, if a path names no attribute.
        TypeError: At the start of a fit, if the attribute is neither a number nor a 0-dim floating tensor.

    Example:
        >>> from lightning_abkd.schedules import Linear
        >>> HyperparameterScheduler({"divergence.temperature": Linear(8.0, 2.0)}, interval="epoch").state_key
        "HyperparameterScheduler('epoch', divergence.temperature)"
    """

    def __init__(self, schedules: dict[str, Schedule | float], interval: Literal["step", "epoch"] = "step") -> None:
        if not schedules:
            raise ValueError("Parameter `schedules` should name at least one attribute. Found `schedules = {}`.")
        check_choice("interval", interval, ("step", "epoch"))
        self._schedules = {
            path: schedule if isinstance(schedule, Schedule) else Constant(float(schedule))
            for path, schedule in schedules.items()
        }
        self._interval = interval
        self._values: dict[str, float] = {}

    @property
    def state_key(self) -> str:
        """Key of this callback in a checkpoint; differs between schedulers of different attributes."""
        return f"{type(self).__name__}({self._interval!r}, {', '.join(self._schedules)})"

    @property
    def paths(self) -> tuple[str, ...]:
        """Dotted paths of the numbers that are scheduled."""
        return tuple(self._schedules)

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Save the values last set."""
        return {"values": dict(self._values)}

    def load_state_dict(self, state_dict: Mapping[str, dict[str, float]]) -> None:
        """Restore the values last set."""
        self._values = dict(state_dict["values"])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check every path before training starts, and set the first values: Lightning's finders run with them."""
        if stage != "fit":
            return
        self._values = {}
        self._check_alone(trainer)
        first = self._at(0, _ENDLESS)
        for number in self._numbers(pl_module):
            number.check()
            number.check_option(first[number.path])
        self._set(pl_module, first)
        self._values = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the first values, or after a resume those of the checkpoint."""
        self._set(pl_module, self._values or self._now(trainer))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Set the values of the current optimizer step, and log them where training steps are logged."""
        self._set(pl_module, self._now(trainer))
        if not is_logged(trainer, batch_idx):
            return
        for path, value in self._values.items():
            name = path.removeprefix("divergence.")
            # A tensor stays on the CPU; Lightning would move a number to the device.
            pl_module.log(f"train/{name}", torch.tensor(value), prog_bar=name in ("alpha", "beta"), batch_size=1)

    def first_and_last(self, trainer: Trainer) -> dict[str, tuple[float, float]]:
        """Return the values at the first and at the last position of a fit, for each path."""
        try:
            total = training_length(trainer, self._interval, type(self).__name__)
        except ValueError:
            # Schedules that need the length have been refused; others go on for as long as the training does.
            total = _ENDLESS
        last = self._at(max(0, total - 1), total)
        return {path: (first, last[path]) for path, first in self._at(0, total).items()}

    def _now(self, trainer: Trainer) -> dict[str, float]:
        step = trainer.global_step - skipped_steps(trainer)
        position = step if self._interval == "step" else trainer.current_epoch
        needed = any(schedule.needs_total for schedule in self._schedules.values())
        return self._at(position, training_length(trainer, self._interval, type(self).__name__) if needed else _ENDLESS)

    def _at(self, position: int, total: int) -> dict[str, float]:
        return {path: float(schedule(position, total)) for path, schedule in self._schedules.items()}

    def _numbers(self, pl_module: LightningModule) -> list[ScheduledNumber]:
        return [ScheduledNumber(pl_module, path, type(self).__name__) for path in self._schedules]

    def _set(self, pl_module: LightningModule, values: dict[str, float]) -> None:
        # An average of the module would else be validated and saved with an average of all values so far.
        for module in (pl_module, *averages_of(pl_module)):
            for number in self._numbers(module):
                number.set(values[number.path])
        self._values = values

    def _check_alone(self, trainer: Trainer) -> None:
        """Raise ValueError if another scheduler of the trainer sets the same number."""
        for other in callbacks_of(trainer):
            if other is self or not isinstance(other, HyperparameterScheduler):
                continue
            if both := sorted(self._schedules.keys() & other._schedules.keys()):
                raise ValueError(
                    f"Only one scheduler should set {both[0]!r}. Found a {type(self).__name__} and a "
                    f"{type(other).__name__} that do. Leave it out of one of them."
                )
