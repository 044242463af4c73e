"""The state of a module that steps change, kept and given back."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class State:
    """Copies of what a step may change.

    Args:
        tensors: Weights that are trained, and buffers, by name.
        extras: What parts keep beside them (`get_extra_state`), by name.
        modes: Whether each part is in train mode, by name.
    """

    tensors: Mapping[str, Tensor]
    extras: Mapping[str, object]
    modes: Mapping[str, bool]

    @classmethod
    def of(cls, module: nn.Module) -> "State":
        """Copy the state of a module."""
        trained = ((name, value) for name, value in module.named_parameters() if value.requires_grad)
        tensors = {name: value.detach().clone() for name, value in chain(trained, module.named_buffers())}
        extras = {name: copy.deepcopy(part.get_extra_state()) for name, part in _with_extras(module).items()}
        return cls(tensors, extras, {name: part.training for name, part in module.named_modules()})

    def restore(self, module: nn.Module) -> None:
        """Give a module this state back, in place and bit for bit, and forget gradients."""
        current = dict(chain(module.named_parameters(), module.named_buffers()))
        with torch.no_grad():
            for name, value in self.tensors.items():
                current[name].copy_(value)
        for name, part in _with_extras(module).items():
            part.set_extra_state(self.extras[name])
        for name, part in module.named_modules():
            part.training = self.modes.get(name, part.training)
        module.zero_grad(set_to_none=True)


def _with_extras(module: nn.Module) -> dict[str, nn.Module]:
    """Return the parts that keep more than weights and buffers, by name."""
    plain = nn.Module.get_extra_state
    return {name: part for name, part in module.named_modules() if type(part).get_extra_state is not plain}
