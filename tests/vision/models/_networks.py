"""What the tests of all network families look at."""

from collections.abc import Callable

import torch
from torch import nn


def parameters(factory: Callable[[], nn.Module]) -> int:
    """Number of parameters, without memory for them."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in factory().parameters())


def shapes(factory: Callable[[], nn.Module]) -> dict[str, tuple[int, ...]]:
    """Shape of each entry of the state dict."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in factory().state_dict().items()}
