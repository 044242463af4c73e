"""What every distillation loss is."""

import functools
import inspect
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Reduction = Literal["mean", "sum", "none"]


class DistillationLoss(nn.Module):
    """Base class of everything that can stand in a `DistillationModule`'s place for a divergence.

    The parameters of `forward` are the signals the loss asks for: student_logits, teacher_logits, labels, mask,
    student_features, teacher_features, or whatever else a module provides. Parameters with a default are optional.
    Learnable parameters of a loss join the optimizer, its buffers the checkpoint. 0-dim buffers (`hyperparameter`) are
    live numbers: a callback may change them in place between steps.

    Example:
        >>> import torch
        >>> class LogitDistance(DistillationLoss):
        ...     def forward(self, student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
        ...         return (student_logits - teacher_logits).square().mean()
        >>> LogitDistance().required_signals
        ('student_logits', 'teacher_logits')
    """

    @property
    def required_signals(self) -> tuple[str, ...]:
        """Names of the signals that `forward` cannot do without."""
        parameters = _parameters(type(self).forward)
        return tuple(p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD)

    @property
    def accepted_signals(self) -> tuple[str, ...]:
        """Names of the signals that `forward` takes, the optional ones included."""
        return tuple(p.name for p in _parameters(type(self).forward))

    def hyperparameter(self, name: str, value: float) -> None:
        """Register a live number as a 0-dim float32 buffer, saved in checkpoints and changed in place."""
        self.register_buffer(name, torch.tensor(float(value)))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DistillationLoss":
        # A cast of the module to half precision must not round α and β: they move with it but keep their dtype.
        kept = {name: buffer for name, buffer in self.named_buffers(recurse=False) if buffer.dim() == 0}
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            moved = self._buffers[name]
            if moved is not None and moved.dtype != buffer.dtype:
                self._buffers[name] = buffer.to(moved.device)
        return self


@functools.cache
def _parameters(forward: Callable[..., object]) -> tuple[inspect.Parameter, ...]:
    """List the parameters of a method beside self; asked for at every step, and slow to find."""
    return tuple(inspect.signature(forward).parameters.values())[1:]


def check_positive(name: str, value: float) -> None:
    """Raise ValueError unless the value is finite and greater than 0."""
    if not 0.0 < value < float("inf"):
        raise ValueError(f"Parameter `{name}` should be finite and greater than 0. Found `{name} = {value}`.")


def check_finite(name: str, value: float) -> None:
    """Raise ValueError unless the value is a finite number."""
    if not -float("inf") < value < float("inf"):
        raise ValueError(f"Parameter `{name}` should be finite. Found `{name} = {value}`.")


def check_reduction(value: str) -> None:
    """Raise ValueError unless the value names a reduction."""
    if value not in get_args(Reduction):
        raise ValueError(
            f"Parameter `reduction` should be one of {get_args(Reduction)}. Found `reduction = {value!r}`."
        )


def reduce(values: Tensor, mask: Tensor | None, reduction: Reduction) -> Tensor:
    """Reduce one value per position over the counted positions; an empty mask gives a connected zero."""
    if mask is not None:
        values = values.masked_fill(~mask, 0.0)
    if reduction == "none":
        return values
    if reduction == "sum" or values.numel() == 0:
        return values.sum()
    count = values.numel() if mask is None else mask.sum().clamp(min=1)
    return values.sum() / count


def check_logits(student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> None:
    """Raise ValueError or TypeError unless the logits are of one shape and the mask fits their positions."""
    student, teacher = tuple(student_logits.shape), tuple(teacher_logits.shape)
    if student[-1:] != teacher[-1:]:
        raise ValueError(
            f"Teacher and student should have the same number of classes. Found {student[-1]} classes in "
            f"`student_logits` of shape {student} and {teacher[-1]} in `teacher_logits` of shape {teacher}. "
            "Give both networks one output size."
        )
    if student != teacher:
        raise ValueError(
            f"`student_logits` and `teacher_logits` should have one shape. Found {student} and {teacher}. "
            "Feed both networks the same batch."
        )
    if mask is None:
        return
    if mask.dtype != torch.bool:
        raise TypeError(f"Parameter `mask` should be boolean, True where a position counts. Found dtype {mask.dtype}.")
    if mask.shape != student_logits.shape[:-1]:
        raise ValueError(f"Parameter `mask` should have shape {student[:-1]}. Found {tuple(mask.shape)}.")
