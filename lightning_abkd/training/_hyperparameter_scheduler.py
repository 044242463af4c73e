"""A callback that drives any number of a module."""

import difflib
from collections.abc import Mapping
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_abkd.schedules import Constant, Schedule
from lightning_abkd.training._step_log import is_logged


class HyperparameterScheduler(Callback):
    """Sets numbers of a LightningModule by schedules, before each training batch, and logs them.

    Driven can be any number attribute and any 0-dim floating tensor, by its dotted path: "divergence.temperature",
    "task_weight", "divergence.terms.0.weight". Tensors are changed in place, so that compiled code stays valid. All
    micro-batches of an optimizer step see one value. The values are functions of the trainer's step or epoch, so that a
    resumed run continues exactly.

    Args:
        schedules: A schedule, or a number that stays, for each path.
        interval: Whether positions are optimizer steps ("step") or epochs ("epoch").

    Raises:
        ValueError: If `schedules` is empty, or the length of training is unknown when it is needed.
        AttributeError: At the start of a fit, if a path leads nowhere.
        TypeError: At the start of a fit, if what it leads to is neither a number nor a 0-dim floating tensor.

    Example:
        >>> from lightning_abkd.schedules import Linear
        >>> HyperparameterScheduler({"divergence.temperature": Linear(8.0, 2.0)}, interval="epoch").state_key
        "HyperparameterScheduler('epoch', divergence.temperature)"
    """

    def __init__(self, schedules: dict[str, Schedule | float], interval: Literal["step", "epoch"] = "step") -> None:
        if not schedules:
            raise ValueError("Parameter `schedules` should name at least one attribute. Found `schedules = {}`.")
        if interval not in ("step", "epoch"):
            raise ValueError(f"Parameter `interval` should be 'step' or 'epoch'. Found `interval = {interval!r}`.")
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

    def state_dict(self) -> dict[str, dict[str, float]]:
        """Save the values last set."""
        return {"values": dict(self._values)}

    def load_state_dict(self, state_dict: Mapping[str, dict[str, float]]) -> None:
        """Restore the values last set."""
        self._values = dict(state_dict["values"])

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check every path before training starts."""
        if stage == "fit":
            for path in self._schedules:
                self._check(pl_module, path)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the first values, or after a resume those of the checkpoint."""
        self._set(pl_module, self._values or self._now(trainer))

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: object, batch_idx: int) -> None:
        """Set the values of the optimizer step at hand, and log them where training steps are logged."""
        self._set(pl_module, self._now(trainer))
        if not is_logged(trainer, batch_idx):
            return
        for path, value in self._values.items():
            name = path.removeprefix("divergence.")
            # A tensor stays on the processor, where Lightning would move a number to the device.
            pl_module.log(f"train/{name}", torch.tensor(value), prog_bar=name in ("alpha", "beta"), batch_size=1)

    def _now(self, trainer: Trainer) -> dict[str, float]:
        if self._interval == "step":
            position, total = trainer.global_step, trainer.estimated_stepping_batches
        else:
            position, total = trainer.current_epoch, trainer.max_epochs or -1
        if not 0 <= total < float("inf"):
            raise ValueError(
                f"{type(self).__name__} should know the length of the training. Found an endless trainer. "
                "Set trainer.max_epochs or trainer.max_steps."
            )
        return {path: float(schedule(position, int(total))) for path, schedule in self._schedules.items()}

    def _set(self, pl_module: LightningModule, values: dict[str, float]) -> None:
        for path, value in values.items():
            owner, name = _resolve(pl_module, path)
            target = getattr(owner, name)
            if isinstance(target, Tensor):
                with torch.no_grad():
                    target.fill_(value)
            else:
                setattr(owner, name, value)
        self._values = values

    def _check(self, pl_module: LightningModule, path: str) -> None:
        parts, owner = path.split("."), pl_module
        for depth, part in enumerate(parts):
            if not hasattr(owner, part):
                raise AttributeError(self._nowhere(path, ".".join(parts[:depth]), owner, part))
            owner = getattr(owner, part)
        number = isinstance(owner, int | float) and not isinstance(owner, bool)
        if not (number or (isinstance(owner, Tensor) and owner.dim() == 0 and owner.is_floating_point())):
            raise TypeError(
                f"{type(self).__name__} drives numbers and 0-dim floating tensors. "
                f"Found a {type(owner).__name__} at {path!r}."
            )

    def _nowhere(self, path: str, prefix: str, owner: object, part: str) -> str:
        numbers = {name for name, value in vars(owner).items() if type(value) in (int, float) and name[0] != "_"}
        if isinstance(owner, torch.nn.Module):
            numbers |= {name for name, buffer in owner.named_buffers(recurse=False) if buffer.dim() == 0}
            numbers |= {name for name, _ in owner.named_children()}
        close = difflib.get_close_matches(part, numbers, 1)
        advice = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(sorted(numbers)) or 'no numbers'}."
        place = f"`{prefix}` ({type(owner).__name__})" if prefix else type(owner).__name__
        return f"{type(self).__name__} should drive {path!r}, but {place} has no attribute {part!r}. {advice}"


def _resolve(pl_module: LightningModule, path: str) -> tuple[object, str]:
    *owners, name = path.split(".")
    owner: object = pl_module
    for part in owners:
        owner = getattr(owner, part)
    return owner, name
