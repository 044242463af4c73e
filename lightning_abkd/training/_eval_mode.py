"""A network in eval mode for the length of a block."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def eval_mode(network: nn.Module) -> Iterator[None]:
    """Put a network into eval mode, without gradients; afterwards each of its modules is in its own mode again.

    Args:
        network: Any network.

    Example:
        >>> network = nn.Dropout().train()
        >>> with eval_mode(network):
        ...     print(network.training)
        False
        >>> network.training
        True
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
