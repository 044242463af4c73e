"""The base class of all distillation losses, with the checks and the reduction that they share."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor, nn

from lightning_abkd._utils import check_choice, check_same_shape
from lightning_abkd.distributed import is_sharded

Reduction = Literal["mean", "sum", "none"]


class DistillationLoss(nn.Module):
    """Base class of everything that can be the `divergence` of a `DistillationModule`.

    The parameters of `forward` name the signals that the loss asks for: student_logits, teacher_logits, labels, mask,
    student_features, teacher_features, or whatever else a module provides. Parameters with a default are optional.
    The optimizer trains the learnable parameters of a loss, and checkpoints save its buffers. 0-dim buffers
    (`hyperparameter`) are live numbers: a callback may change them in place between steps.

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
        """Names of the signals that `forward` needs."""
        parameters = _parameters(type(self).forward)
        return tuple(p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD)

    @property
    def accepted_signals(self) -> tuple[str, ...]:
        """Names of the signals that `forward` takes, including the optional ones."""
        return tuple(p.name for p in _parameters(type(self).forward))

    def hyperparameter(self, name: str, value: float, default: float | None = None) -> None:
        """Register a live number as a 0-dim float32 buffer, saved in checkpoints and changed in place.

        Args:
            name: Name of the buffer.
            value: The number that the loss is built with, which `built_with` returns from then on.
            default: The number that it has unless an argument says otherwise; None takes the default of the argument of
                the same name.
        """
        self.register_buffer(name, torch.tensor(float(value), dtype=torch.float32))
        vars(self).setdefault("_built_with", {})[name] = BuiltWith(float(value), default)

    def built_with(self, name: str) -> "BuiltWith | None":
        """Return what a live number was built with; None for what is none, or of a loss that nobody configured."""
        found: BuiltWith | None = vars(self).get("_built_with", {}).get(name)
        return found

    @property
    def constants(self) -> frozenset[str]:
        """Names of buffers that are no live numbers although checkpoints hold them: no callback may change them."""
        return frozenset()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "DistillationLoss":
        # A cast of the module to half precision must not round α and β: they change the device but keep their dtype.
        kept = {name: buffer for name, buffer in self.named_buffers(recurse=False) if buffer.dim() == 0}
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            moved = self._buffers[name]
            if moved is not None and moved.dtype != buffer.dtype:
                self._buffers[name] = buffer.to(moved.device)
        return self


class BuiltWith(NamedTuple):
    """The number that a hyperparameter was built with, and its default; None where that of the argument holds."""

    value: float
    default: float | None


L = TypeVar("L", bound=DistillationLoss)


def as_default(loss: L) -> L:
    """Return a loss that stands in for an argument that was left out: none of its numbers was asked for."""
    vars(loss).pop("_built_with", None)
    return loss


@functools.cache
def _parameters(forward: Callable[..., object]) -> tuple[inspect.Parameter, ...]:
    """List the parameters of a method after self. Cached, because each step asks and the inspection is slow."""
    return tuple(inspect.signature(forward).parameters.values())[1:]


def check_reduction(value: str) -> None:
    """Raise ValueError unless the value names a reduction."""
    check_choice("reduction", value, get_args(Reduction))


def reduce(values: Tensor, mask: Tensor | None, reduction: Reduction) -> Tensor:
    """Reduce one value per position over the counted positions; an empty mask gives a zero that has a gradient."""
    if mask is not None:
        values = values.masked_fill(~mask, 0.0)
    if reduction == "none":
        return values
    if reduction == "sum" or values.numel() == 0:
        return values.sum()
    count = values.numel() if mask is None else mask.sum().clamp(min=1)
    return values.sum() / count


def without_masked(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Replace the rows (..., V) that a mask does not count by zeros, since a gradient of 0 times inf or NaN is NaN."""
    return logits if mask is None else logits.masked_fill(~mask.unsqueeze(-1), 0.0)


def class_indices(labels: Tensor, student_logits: Tensor, loss: str) -> Tensor:
    """Return labels as int64; raise ValueError unless they are class indices (...) for logits (..., C)."""
    shape = tuple(student_logits.shape[:-1])
    if labels.shape != shape or labels.is_floating_point():
        raise ValueError(
            f"Parameter `labels` should have shape {shape}. Found {tuple(labels.shape)} of dtype {labels.dtype}. "
            f"{loss} takes class indices, and no probabilities such as those of mixup."
        )
    return labels.long()


def check_logits(student_logits: Tensor, teacher_logits: Tensor, mask: Tensor | None) -> None:
    """Raise an error unless both logits have one shape and the mask fits their positions.

    Args:
        student_logits: Shape (..., V).
        teacher_logits: Shape (..., V).
        mask: Boolean, shape (...); None for no mask.

    Raises:
        ValueError: If shapes do not fit each other, or logits lie on several processes.
        TypeError: If the mask is not boolean.

    Example:
        >>> check_logits(torch.zeros(2, 5), torch.zeros(2, 5), mask=torch.tensor([True, False]))
    """
    check_whole("This loss", {"student_logits": student_logits, "teacher_logits": teacher_logits})
    check_shapes(student_logits, teacher_logits)
    if mask is not None:
        check_mask(mask, tuple(student_logits.shape[:-1]))


def check_whole(loss: str, tensors: Mapping[str, Tensor]) -> None:
    """Raise ValueError if tensors by name lie on several processes, which this loss cannot use."""
    for name, tensor in tensors.items():
        if is_sharded(tensor):
            raise split_classes(loss, f"`{name}` with {', '.join(map(str, tensor.placements))}")


def split_classes(loss: str, found: str) -> ValueError:
    """Build the error for a loss that needs whole rows and finds logits that are DTensors."""
    return ValueError(
        f"{loss} needs all classes of a row on one process. Found DTensors: {found}. Gather them first "
        "(`full_tensor()`), or take a divergence that is a sum over classes, such as AlphaBetaDivergence."
    )


def check_shapes(student_logits: Tensor, teacher_logits: Tensor) -> None:
    """Raise ValueError unless both logits have one shape."""
    student = tuple(student_logits.shape)
    teacher = tuple(teacher_logits.shape)
    if student[-1:] != teacher[-1:]:
        raise ValueError(
            f"Teacher and student should have the same number of classes. Found {student[-1]} classes in "
            f"`student_logits` of shape {student} and {teacher[-1]} in `teacher_logits` of shape {teacher}. "
            "Give both networks the same output size."
        )
    check_same_shape(student_logits, teacher_logits, advice="Feed both networks the same batch.")


def check_mask(mask: Tensor, shape: tuple[int, ...], local: tuple[int, ...] | None = None) -> None:
    """Raise an error unless a mask is boolean and has the shape of the positions, or that of the local ones."""
    if mask.dtype != torch.bool:
        raise TypeError(f"Parameter `mask` should be boolean, True where a position counts. Found dtype {mask.dtype}.")
    if tuple(mask.shape) not in (shape, local):
        raise ValueError(f"Parameter `mask` should have shape {shape}. Found {tuple(mask.shape)}.")
