"""The number that a scheduler sets: where it is, whether it may be set, and what it was built with."""

import difflib
import inspect
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from lightning_abkd.losses import DistillationLoss

_WITH_EXPONENTS = (
    "AlphaBetaDivergence and TokenwiseAlphaBeta have a live α and β, AlphaDivergence a live α, BetaDivergence a live β."
)


class _Option(NamedTuple):
    """A number that somebody may have asked for, and what it is unless somebody does; None if it has to be given."""

    value: float
    default: float | None


@dataclass(frozen=True)
class ScheduledNumber:
    """A number of a module.

    Args:
        module: The module.
        path: Dotted path of the number in it.
        user: Name of what sets it, for messages.
    """

    module: LightningModule
    path: str
    user: str

    def set(self, value: float) -> None:
        """Set the number, a tensor in place."""
        owner = self._owner()
        target = getattr(owner, self._name)
        if isinstance(target, Tensor):
            with torch.no_grad():
                target.fill_(value)
        else:
            setattr(owner, self._name, value)

    def check(self) -> None:
        """Check that the path leads to a number that may be set.

        Raises:
            AttributeError: If the path names no attribute.
            TypeError: If the attribute is neither a number nor a 0-dim floating tensor.
            ValueError: If it is a constant of its loss, or a weight that is trained.
        """
        owner: object = self.module
        passed: list[str] = []
        for part in self.path.split("."):
            if not hasattr(owner, part):
                raise AttributeError(self._missing(".".join(passed), owner, part))
            owner = getattr(owner, part)
            passed.append(part)
        if not _is_number(owner):
            raise TypeError(
                f"{self.user} sets numbers and 0-dim floating tensors. Found a {type(owner).__name__} at {self.path!r}."
            )
        self._check_free(owner)

    def check_option(self, first: float) -> None:
        """Check that no option asks for another number than the first that is set, because it would have no effect.

        Args:
            first: Value at the first position of the schedule.

        Raises:
            ValueError: If the number was built with another value than its default and this one.
        """
        option = self._option()
        if option is None or option.value == option.default or _equal(option.value, first):
            return
        raise ValueError(
            f"Option `{self.path}` should leave its value to the {self.user}. Found {option.value:g}, which would have "
            f"no effect: the schedule sets it from {first:g} on. Leave the option out, set it to {first:g}, or remove "
            f"the schedule of {self.path!r}."
        )

    @property
    def _name(self) -> str:
        return self.path.rpartition(".")[2]

    def _owner(self) -> object:
        owner: object = self.module
        for part in self.path.split(".")[:-1]:
            owner = getattr(owner, part)
        return owner

    def _check_free(self, number: object) -> None:
        owner = self._owner()
        if isinstance(owner, DistillationLoss) and self._name in owner.constants:
            raise ValueError(
                f"{self.user} should set a live number. Found {self.path!r}, which {type(owner).__name__} keeps at "
                f"{float(getattr(owner, self._name)):g}. {_WITH_EXPONENTS}"
            )
        if owner is self.module and self._name in ("lr", "learning_rate") and self._name not in vars(owner):
            raise ValueError(
                f"{self.user} should set a number that nothing else changes. Found {self.path!r}, which belongs to the "
                "optimizer. Take `lr_scheduler`."
            )
        if isinstance(number, nn.Parameter) and number.requires_grad:
            raise ValueError(
                f"{self.user} should set a number that nothing else changes. Found a parameter at {self.path!r}, which "
                "the optimizer trains. Freeze it or leave out its schedule."
            )

    def _option(self) -> _Option | None:
        owner = self._owner()
        argument = _argument(type(owner), self._name)
        default = None if argument is None else _as_number(argument.default)
        built = owner.built_with(self._name) if isinstance(owner, DistillationLoss) else None
        if built is not None and built.default is not None:
            return _Option(built.value, built.default)
        number = None if argument is None else _as_number(self._asked_for(owner))
        return None if number is None else _Option(number, default)

    def _asked_for(self, owner: object) -> object:
        """Return the value of the argument of the number's name; None if nothing was asked for."""
        if isinstance(owner, DistillationLoss) and self._name in dict(owner.named_buffers(recurse=False)):
            built = owner.built_with(self._name)
            return None if built is None else built.value
        if owner is self.module and self._name in self.module.hparams_initial:
            return self.module.hparams_initial[self._name]
        return self._before_any_schedule()

    def _before_any_schedule(self) -> object:
        """Return the number as it was before the first fit that schedules it; a copy of the module remembers it."""
        known: dict[str, object] = vars(self.module).setdefault("_before_any_schedule", {})
        return known.setdefault(self.path, getattr(self._owner(), self._name))

    def _missing(self, prefix: str, owner: object, part: str) -> str:
        numbers = _numbers_of(owner)
        close = difflib.get_close_matches(part, numbers, 1)
        advice = f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(sorted(numbers)) or 'no numbers'}."
        place = f"`{prefix}` ({type(owner).__name__})" if prefix else type(owner).__name__
        exponents = f" {self._places(part)}" if part in ("alpha", "beta") else ""
        return f"{self.user} should set {self.path!r}, but {place} has no attribute {part!r}. {advice}{exponents}"

    def _places(self, part: str) -> str:
        """Say where a module has live numbers of this name, or which losses have them."""
        found = [
            f"{name}.{part}"
            for name, loss in self.module.named_modules()
            if isinstance(loss, DistillationLoss)
            and part in dict(loss.named_buffers(recurse=False)).keys() - loss.constants
        ]
        return f"There is one at {', '.join(map(repr, found))}." if found else _WITH_EXPONENTS


def _as_number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float | Tensor) and _is_number(value) else None


def _equal(value: float, other: float) -> bool:
    # A buffer in float32 holds a number to seven digits.
    return math.isclose(value, other, rel_tol=1e-6, abs_tol=1e-12)


def _is_number(value: object) -> bool:
    if isinstance(value, Tensor):
        return value.dim() == 0 and value.is_floating_point()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _argument(owner: type, name: str) -> inspect.Parameter | None:
    """Return the argument of this name that a class or its first base that has one is built with."""
    for base in owner.__mro__:
        if "__init__" in vars(base) and base is not object:
            parameter = inspect.signature(vars(base)["__init__"]).parameters.get(name)
            if parameter is not None:
                return parameter
    return None


def _numbers_of(owner: object) -> set[str]:
    """Return the names of an object's numbers, and of its submodules, which may hold some."""
    own = getattr(owner, "__dict__", {})
    numbers = {name for name, value in own.items() if type(value) in (int, float) and name[0] != "_"}
    if isinstance(owner, nn.Module):
        numbers |= {name for name, buffer in owner.named_buffers(recurse=False) if buffer.dim() == 0}
        numbers |= {name for name, _ in owner.named_children()}
    return numbers
