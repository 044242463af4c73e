"""A callback that sets any number of a module."""

import difflib
from collections.abc import Mapping
from typing import Literal

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from lightning_abkd._utils import check_choice
from lightning_abkd.schedules import Constant, Schedule
from lightning_abkd.training._step_log import is_logged


class HyperparameterScheduler(Callback):
    """Sets numbers of a LightningModule by schedules, before each training batch, and logs them.

    A dotted path names an attribute that is a number or a 0-dim floating tensor: "divergence.temperature",
    "task_weight", or "divergence.crd_weight", the weight of the term "crd" of a `WeightedSum`. Tensors are changed in
    place, so that compiled code stays valid. All micro-batches of an optimizer step see the same value. The values are
    functions of the trainer's step or epoch, so that a resumed run continues exactly.

    Args:
        schedules: A schedule, or a constant, for each path.
        interval: Whether positions are optimizer steps ("step") or epochs ("epoch").

    Raises:
        ValueError: If `schedules` is empty, or the length of training is unknown when it is needed.
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
        """Check every path before training starts."""
        if stage == "fit":
            for path in self._schedules:
                self._check_path(pl_module, path)

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

    def _now(self, trainer: Trainer) -> dict[str, float]:
        by_step = self._interval == "step"
        position = trainer.global_step if by_step else trainer.current_epoch
        total = trainer.estimated_stepping_batches if by_step else trainer.max_epochs or -1
        if not 0 <= total < float("inf"):
            raise ValueError(
                f"{type(self).__name__} should know the length of the training. Found an endless trainer. "
                "Set trainer.max_epochs or trainer.max_steps."
            )
        return {path: float(schedule(position, int(total))) for path, schedule in self._schedules.items()}

    def _set(self, pl_module: LightningModule, values: dict[str, float]) -> None:
        for path, value in values.items():
            owner = _owner_of(pl_module, path)
            name = path.rpartition(".")[2]
            target = getattr(owner, name)
            if isinstance(target, Tensor):
                with torch.no_grad():
                    target.fill_(value)
            else:
                setattr(owner, name, value)
        self._values = values

    def _check_path(self, pl_module: LightningModule, path: str) -> None:
        owner: object = pl_module
        passed: list[str] = []
        for part in path.split("."):
            if not hasattr(owner, part):
                raise AttributeError(self._missing_attribute(path, ".".join(passed), owner, part))
            owner = getattr(owner, part)
            passed.append(part)
        if not _is_number(owner):
            raise TypeError(
                f"{type(self).__name__} sets numbers and 0-dim floating tensors. "
                f"Found a {type(owner).__name__} at {path!r}."
            )

    def _missing_attribute(self, path: str, prefix: str, owner: object, part: str) -> str:
        numbers = _numbers_of(owner)
        close = difflib.get_close_matches(part, numbers, 1)
        advice = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(sorted(numbers)) or 'no numbers'}."
        place = f"`{prefix}` ({type(owner).__name__})" if prefix else type(owner).__name__
        return f"{type(self).__name__} should set {path!r}, but {place} has no attribute {part!r}. {advice}"


def _is_number(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.dim() == 0 and value.is_floating_point()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numbers_of(owner: object) -> set[str]:
    """Return the names of an object's numbers, and of its submodules, which may hold some."""
    numbers = {name for name, value in vars(owner).items() if type(value) in (int, float) and name[0] != "_"}
    if isinstance(owner, torch.nn.Module):
        numbers |= {name for name, buffer in owner.named_buffers(recurse=False) if buffer.dim() == 0}
        numbers |= {name for name, _ in owner.named_children()}
    return numbers


def _owner_of(pl_module: LightningModule, path: str) -> object:
    owner: object = pl_module
    for part in path.split(".")[:-1]:
        owner = getattr(owner, part)
    return owner
