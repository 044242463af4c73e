"""A batch whose numbers went wrong, in a file from which it runs again."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from lightning_abkd._utils import write_whole
from lightning_abkd.training._evidence import Look


def generator_states() -> dict[str, Tensor]:
    """Return the states of torch's random generators, that of the current GPU too where one is in use."""
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def save_batches(path: Path, looks: Sequence[Look], facts: Mapping[str, object]) -> Path:
    """Write batches of one optimizer step, their losses, the generators' states and what is known about the step.

    `torch.load(path, weights_only=True)` reads it: it holds tensors, numbers, texts, lists, tuples and dicts alone.

    Args:
        path: The file, which is written whole or not at all.
        looks: What a guard saw of each batch.
        facts: What else to write, such as the step.
    """
    batches = [
        {
            "batch_idx": look.batch_idx,
            "losses": {name: float(value) for name, value in look.losses.items()},
            "generators": look.generators,
            "batch": plain(look.batch),
        }
        for look in looks
    ]
    with write_whole(path) as part:
        torch.save({**facts, "batches": batches}, part)
    return path


def plain(value: object) -> object:
    """Return a batch as what is read without pickle: tensors on the CPU, numbers, texts, lists, tuples and dicts.

    Dataclasses and named tuples become dicts, and any other object its text.

    Example:
        >>> plain({"x": torch.ones(1), "path": Path("a.png")})
        {'x': tensor([1.]), 'path': 'a.png'}
    """
    if isinstance(value, Tensor):
        # A subclass, such as torchvision's images, would need its class to be read.
        return value.detach().as_subclass(Tensor).cpu()
    if value is None or type(value) in (bool, int, float, str):
        return value
    named = _named(value)
    if named is not None:
        return {str(name): plain(entry) for name, entry in named.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(plain, value))
    return torch.as_tensor(value) if hasattr(value, "__array_interface__") else str(value)


def _named(value: object) -> Mapping[object, object] | None:
    """Return the entries of a mapping, a dataclass or a named tuple by their names; None for anything else."""
    if isinstance(value, Mapping):
        return value
    names: Sequence[str] = getattr(value, "_fields", ())
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value)]
    return {name: getattr(value, name) for name in names} if names else None


def class_path(value: object) -> str | None:
    """Return where a class of an object is imported from, or None for None."""
    return None if value is None else f"{type(value).__module__}.{type(value).__qualname__}"
