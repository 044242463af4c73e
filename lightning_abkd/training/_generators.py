"""The states of all generators of random numbers of a process: torch, the device, Python and NumPy."""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from lightning_abkd._utils import digest

States = dict[str, Tensor]
"""The state of each generator as integers, so that no code runs when a checkpoint is read."""


def generator_states(device: torch.device | None = None) -> States:
    """Return the states of torch's generator, Python's and NumPy's, and of the device's if it is no CPU.

    Example:
        >>> before = generator_states()
        >>> drawn = random.random()
        >>> restore_generators(before)
        >>> random.random() == drawn
        True
    """
    version, words, gauss = random.getstate()
    _name, keys, place, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002
    states = {
        "torch": torch.get_rng_state(),
        "python": torch.tensor([version, *words]),
        "python_gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.tensor([*map(int, keys), place, has_gauss]),
        "numpy_gauss": torch.tensor(cached, dtype=torch.float64),
    }
    if device is not None and device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state().clone()
    return states


def restore_generators(states: Mapping[str, Tensor], device: torch.device | None = None) -> None:
    """Set the generators whose states there are."""
    states = {name: state.cpu() for name, state in states.items()}
    if "torch" in states:
        torch.set_rng_state(states["torch"])
    if "python" in states:
        version, *words = states["python"].tolist()
        gauss = states["python_gauss"].tolist()
        random.setstate((version, tuple(words), gauss[0] if gauss else None))
    if "numpy" in states:
        *keys, place, has_gauss = states["numpy"].tolist()
        cached = states["numpy_gauss"].item()
        np.random.set_state(("MT19937", np.array(keys, np.uint32), place, has_gauss, cached))  # noqa: NPY002
    if device is not None and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type])


def seed_generators(seed: int) -> None:
    """Let all generators go on from a seed."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002


def seed_of(states: Mapping[str, Tensor], rank: int) -> int:
    """Compute a seed for a rank that has no states of its own from those of another one."""
    return int(digest(f"{states['torch'].tolist()} {rank}".encode())[:15], 16)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let what torch, Python and NumPy draw on the CPU meanwhile follow from a seed."""
    before = (torch.get_rng_state(), random.getstate(), np.random.get_state())  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(before[0])
        random.setstate(before[1])
        np.random.set_state(before[2])  # noqa: NPY002
