"""What a step costs: memory by an estimate, and time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red

_MEMORY = "peak memory (estimate)"
_TIME = "throughput and duration"
_CURE = (
    "Lower `data.batch_size` and raise `trainer.accumulate_grad_batches`, or shorten the texts; `teacher_dtype: "
    "bfloat16` and a stored teacher (CachedTeacher) free memory, too."
)


@dataclass
class Kept:
    """The tensors that a forward pass keeps for the backward pass, by their storage."""

    sizes: dict[int, int] = field(default_factory=dict)

    def total(self, *networks: nn.Module | None) -> int:
        """Return their bytes, without those of the networks' own weights."""
        own = {_storage(x) for network in networks if network is not None for x in _values(network)}
        return sum(size for place, size in self.sizes.items() if place not in own)


@contextmanager
def kept_tensors(found: Kept) -> Iterator[None]:
    """Note what is kept for the backward pass meanwhile."""

    def note(value: Tensor) -> Tensor:
        if type(value) is Tensor:
            found.sizes[_storage(value)] = value.untyped_storage().nbytes()
        return value

    with torch.autograd.graph.saved_tensors_hooks(note, lambda value: value):
        yield


def _storage(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _values(network: nn.Module) -> Iterator[Tensor]:
    return chain(network.parameters(), network.buffers())


@dataclass(frozen=True)
class Memory:
    """The bytes of a step by what holds them.

    Args:
        teacher: Weights of the teacher.
        student: Weights of the student and of losses.
        gradients: Gradients of what is trained.
        optimizer: State of the optimizer, as measured after a step.
        activations: What the forward pass kept for the backward pass, as measured.
        logits: Logits of both networks and the gradient of the student's.
    """

    teacher: int
    student: int
    gradients: int
    optimizer: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """Sum of all parts."""
        return sum(vars(self).values())


def bytes_of(network: nn.Module | None, trained: bool = False) -> int:
    """Return the bytes of a network's weights and buffers, or of the weights that are trained."""
    if network is None:
        return 0
    if trained:
        return sum(x.numel() * x.element_size() for x in network.parameters() if x.requires_grad)
    return sum(x.numel() * x.element_size() for x in _values(network))


def bytes_of_optimizer(optimizer: torch.optim.Optimizer) -> int:
    """Return the bytes of an optimizer's state."""
    states = (value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor))
    return sum(value.numel() * value.element_size() for value in states)


def bytes_of_logits(positions: int, classes: int, has_teacher: bool) -> int:
    """Return the bytes in float32 of the logits of a batch and of the gradient of the student's."""
    return positions * classes * 4 * (3 if has_teacher else 2)


def memory(found: Memory, device: torch.device) -> Finding:
    """Compare an estimate of the peak of a step with what the device has."""
    parts = {name: size for name, size in vars(found).items() if size}
    said = ", ".join(f"{name} {bytes_as_text(size)}" for name, size in parts.items())
    most = bytes_of_device(device)
    whole = f"{bytes_as_text(found.total)} of {bytes_as_text(most)} ({device.type}): {said}"
    if found.total > most:
        return red(_MEMORY, f"Too little memory: a step needs about {whole}.", _CURE)
    return green(_MEMORY, whole)


def out_of_memory(error: BaseException) -> Finding:
    """Build the red line of a step that did not fit."""
    return red(_MEMORY, f"Too little memory: {str(error).partition('. ')[0]}.", _CURE)


def bytes_of_device(device: torch.device) -> int:
    """Return the memory of a device; for the CPU that of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def bytes_as_text(size: float) -> str:
    """Write a number of bytes.

    Example:
        >>> bytes_as_text(1_500_000), bytes_as_text(900)
        ('1.5 MB', '900 B')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration(seconds_of_batch: float | None, samples: int, batches: float, length: str) -> Finding:
    """Say how fast training is and how long it will take.

    Args:
        seconds_of_batch: Time of a batch with loading it; None if it could not be measured.
        samples: Samples of a batch.
        batches: Batches of the whole training; infinite if unknown.
        length: What the training is, such as "30 epochs take".
    """
    if seconds_of_batch is None:
        return not_checked(_TIME, "no batch could be measured")
    rate = samples / seconds_of_batch
    speed = f"{f'{rate:,.0f}' if rate >= 100 else f'{rate:.3g}'} samples per second"
    speed += f" ({1000 * seconds_of_batch:.3g} ms a batch)"
    if batches == float("inf"):
        return green(_TIME, f"{speed}; the length of the training is unknown")
    whole = seconds_as_text(batches * seconds_of_batch)
    return green(_TIME, f"{speed}; {length} about {whole}, without validation")


def seconds_as_text(seconds: float) -> str:
    """Write a time in the two largest units.

    Example:
        >>> seconds_as_text(4), seconds_as_text(200), seconds_as_text(100_000)
        ('4 s', '3 min 20 s', '27 h 46 min')
    """
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
