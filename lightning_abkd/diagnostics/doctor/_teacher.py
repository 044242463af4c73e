"""The teacher: frozen, in eval mode, in which precision and where, and whether it is a network of its own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red
from lightning_abkd.diagnostics.doctor._patient import Patient, first_rows

_NO_TEACHER = "the module has no teacher"
_CURE_OF_ONE = "Build the student as a network of its own, or as a copy (`copy.deepcopy`)."
# Buffers that a pass in train mode changes; others, such as fixed features of texts, may be shared.
_MOVING = ("running_mean", "running_var")
_CURE_OF_MODE = (
    "Let its `train(mode)` pass the mode on, and draw, drop or normalise by the batch only where `self.training` is "
    "True."
)
# How far two answers to one input may lie apart, as a share of their spread: half precision rounds by the batch.
_TOLERANCE = {torch.float32: 1e-2, torch.float64: 1e-2}
_TOLERANCE_OF_HALF = 0.2


def frozen(patient: Patient) -> Finding:
    """Check that nothing trains the teacher."""
    teacher = patient.teacher
    if teacher is None:
        return not_checked("teacher frozen", _NO_TEACHER)
    count = sum(parameter.numel() for parameter in teacher.parameters())
    optimized = {id(x) for optimizer in patient.trainer.optimizers for x in _parameters(optimizer)}
    moved = [name for name, x in teacher.named_parameters() if x.requires_grad or id(x) in optimized]
    if moved:
        return red(
            "teacher frozen",
            f"Teacher not frozen: {len(moved)} of its tensors would be trained, such as {moved[0]}.",
            "Leave `requires_grad` of the teacher's weights as the module sets it, and keep them out of the optimizer.",
        )
    return green("teacher frozen", f"none of its {count:,} weights is trained")


def _parameters(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    return chain.from_iterable(group["params"] for group in optimizer.param_groups)


def two_networks(student: nn.Module, teacher: nn.Module | None) -> Finding:
    """Check that teacher and student are two networks, of which one can change without the other."""
    name = "two networks"
    if teacher is None:
        return not_checked(name, _NO_TEACHER)
    shared = _shared(student, teacher)
    if student is teacher or (shared and len(shared) == len(list(student.parameters()))):
        return red(name, "Teacher = student: both have one and the same weights.", _CURE_OF_ONE)
    moving = [label for label in _shared_buffers(student, teacher) if label.endswith(_MOVING)]
    if moving:
        what = f"Teacher and student share {moving[0]}, which each step of the student changes."
        return red(name, what, _CURE_OF_ONE)
    addition = f"; they share {len(shared)} weights, which stay frozen" if shared else ""
    return green(name, f"teacher and student are two networks{addition}")


def _shared(student: nn.Module, teacher: nn.Module) -> list[str]:
    theirs = {id(value) for value in teacher.parameters()}
    return [name for name, value in student.named_parameters() if id(value) in theirs]


def _shared_buffers(student: nn.Module, teacher: nn.Module) -> list[str]:
    theirs = {id(value) for value in teacher.buffers()}
    return [name for name, value in student.named_buffers() if id(value) in theirs]


@contextmanager
def watched_modes(teacher: nn.Module | None, found: set[str]) -> Iterator[None]:
    """Collect the names of the teacher's parts that run in train mode."""
    handles = [] if teacher is None else [_watch(name, part, found) for name, part in teacher.named_modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watch(name: str, part: nn.Module, found: set[str]) -> torch.utils.hooks.RemovableHandle:
    def look(module: nn.Module, inputs: object, output: object) -> None:
        if module.training and (isinstance(module, _BatchNorm | _DropoutNd) or not list(module.children())):
            found.add(name or type(module).__name__)

    return part.register_forward_hook(look)


def mode(patient: Patient, trained: set[str]) -> Finding:
    """Check that the teacher answers as in eval mode.

    Args:
        patient: The patient.
        trained: Names of the parts that ran in train mode in the real step.
    """
    name = "teacher mode"
    teacher = patient.teacher
    if teacher is None:
        return not_checked(name, _NO_TEACHER)
    if trained:
        what = f"Teacher in train mode: {len(trained)} of its parts ran in train mode, such as {min(trained)}."
        return red(name, what, _CURE_OF_MODE)
    counts = {label: value.clone() for label, value in teacher.named_buffers()}
    first = patient.signals_of(patient.rows).get("teacher_logits")
    if first is None:
        return not_checked(name, "the batch gives no logits of the teacher")
    changed = [label for label, value in teacher.named_buffers() if not _same(counts.get(label), value)]
    if changed:
        return red(name, f"Teacher in train mode: a pass changes its buffer {changed[0]}.", _CURE_OF_MODE)
    return _constancy(patient, first)


def _constancy(patient: Patient, first: Tensor) -> Finding:
    """Check that one input has one answer, whenever and beside whatever it is asked."""
    again = patient.signals_of(patient.rows)["teacher_logits"]
    if _differ(first, again):
        what = "Teacher in train mode: the same batch has another answer the second time, as with dropout."
        return red("teacher mode", what, _CURE_OF_MODE)
    half = max(1, len(first) // 2)
    alone = patient.signals_of(first_rows(patient.rows, half))["teacher_logits"]
    if alone.shape == first[:half].shape and _differ(first[:half], alone):
        what = "Teacher in train mode: its answer depends on the other samples of the batch, as with batch statistics."
        return red("teacher mode", what, _CURE_OF_MODE)
    return green("teacher mode", "eval in every part, and the same answer twice")


def _same(before: Tensor | None, after: Tensor) -> bool:
    return before is not None and bool(torch.equal(before, after))


def _differ(first: Tensor, second: Tensor) -> bool:
    """Return True if two answers lie further apart than rounding explains."""
    tolerance = _TOLERANCE.get(first.dtype, _TOLERANCE_OF_HALF)
    known = first.isfinite() & second.isfinite()
    if not bool(known.any()):
        return False
    spread = first[known].float().std(correction=0).clamp(min=1e-12)
    return bool((first[known].float() - second[known].float()).abs().max() > tolerance * spread)


def place(patient: Patient) -> Finding:
    """Say in which precision and on which device the teacher answers; an answer that is no number is red."""
    name = "teacher precision, device"
    teacher = patient.teacher
    if teacher is None:
        return not_checked(name, _NO_TEACHER)
    kinds = _kinds(teacher)
    said = f"{', '.join(kinds) or 'no weights'}; trainer {patient.trainer.precision}"
    logits = patient.signals.get("teacher_logits")
    if logits is not None and bool(logits.isnan().any()):
        return red(
            name,
            f"The teacher's logits contain NaN in this precision ({said}).",
            'Check its weights, or take a wider one: `teacher_dtype: float32` or `trainer.precision: "32-true"`.',
        )
    return green(name, said)


def _kinds(network: nn.Module) -> Mapping[str, None]:
    """Return the dtypes and devices of a network's weights as text, each once."""
    describe: Callable[[Tensor], str] = lambda x: f"{str(x.dtype).removeprefix('torch.')} on {x.device}"  # noqa: E731
    return dict.fromkeys(describe(parameter) for parameter in network.parameters())
