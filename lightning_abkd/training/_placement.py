"""Where the weights of a teacher lie, and how it runs from there."""

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

import torch
from lightning.fabric.utilities import move_data_to_device
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule

from lightning_abkd.training._pieces import hold_whole, release
from lightning_abkd.training._sharding import shard, sharded_parts

T = TypeVar("T")


class Replicated:
    """A whole copy on the device of each rank."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.home: torch.device | None = None

    @property
    def device(self) -> torch.device:
        """Device that the network computes on."""
        found = next((parameter.device for parameter in self.network.parameters()), torch.device("cpu"))
        return self.home or found

    def to(self, home: torch.device) -> None:
        """Follow the student to its device."""
        self.home = home
        self.network.to(home)

    def share(self, mesh: DeviceMesh) -> None:
        """Divide the weights between ranks, or keep them all."""

    def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns that runs the network or a part of it."""
        return function()

    def arriving(self, inputs: T) -> T:
        """Return the inputs where the network takes them."""
        return inputs

    def leaving(self, outputs: T) -> T:
        """Return the outputs where the student has its own."""
        return outputs

    def hold_whole(self) -> None:
        """Keep weights whole until they are released, so that ranks need not run the network equally often."""

    def release(self) -> None:
        """Go back to weights in pieces."""


class _Whole(nn.Module):
    """A network whose parts may run alone, all weights that no part has for itself being whole meanwhile."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def with_whole_weights(self, function: Callable[[], T]) -> T:
        """Return what a function returns."""
        return function()


class Sharded(Replicated):
    """Pieces on all ranks by `fully_shard`, also where the student is not sharded; whole on a single process."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self._whole = _Whole(network)

    def share(self, mesh: DeviceMesh) -> None:
        """Shard over the ranks of a mesh, once."""
        if not isinstance(self._whole, FSDPModule):
            shard(self._whole, self.network, mesh)
            self._keep_pieces()

    def run(self, function: Callable[[], T]) -> T:
        """Return what a function returns, with pieces gathered for it; all ranks call it equally often."""
        return self._whole.with_whole_weights(function)

    def hold_whole(self) -> None:
        """Gather all weights and keep them."""
        if isinstance(self._whole, FSDPModule):
            self.run(lambda: None)
            hold_whole(self._whole)

    def release(self) -> None:
        """Keep pieces alone."""
        if isinstance(self._whole, FSDPModule):
            release(self._whole)
            self._keep_pieces()

    def _keep_pieces(self) -> None:
        if isinstance(self._whole, FSDPModule):
            # No backward pass follows that would need the rest whole.
            self._whole.set_reshard_after_forward(True, recurse=False)


class Offloaded(Replicated):
    """Blocks or children on the CPU; each comes to the device for its forward pass, and what is left stays there."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        self._parts = sharded_parts(network) or [network]
        self._away: dict[int, list[_Slot]] = {}
        for part in self._parts:
            part.register_forward_pre_hook(self._bring)
            part.register_forward_hook(self._send_back, always_call=True)

    def to(self, home: torch.device) -> None:
        """Move what lies outside of the parts to the student's device, and the parts to the CPU."""
        self.home = home
        inside = {id(module) for part in self._parts for module in part.modules()}
        move = functools.cache(functools.partial(_moved, device=home))
        rest = functools.cache(functools.partial(_moved, device=torch.device("cpu"), pinned=home.type == "cuda"))
        for slot in _slots(self.network):
            slot.fill((rest if id(slot.module) in inside else move)(slot.tensor))

    def _bring(self, part: nn.Module, inputs: tuple[object, ...]) -> None:
        self._away[id(part)] = list(_slots(part))
        move = functools.cache(functools.partial(_moved, device=self.device))
        for slot in self._away[id(part)]:
            slot.fill(move(slot.tensor))

    def _send_back(self, part: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        for slot in self._away.pop(id(part), []):
            slot.fill(slot.tensor)


class _Slot(NamedTuple):
    """A place in a module for a weight or a buffer, and what is in it."""

    module: nn.Module
    name: str
    tensor: Tensor

    def fill(self, tensor: Tensor) -> None:
        """Put another tensor of the same kind there."""
        setattr(self.module, self.name, tensor)


def _slots(network: nn.Module) -> Iterator[_Slot]:
    for module in network.modules():
        for name, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            yield _Slot(module, name, tensor)


def _moved(tensor: Tensor, device: torch.device, pinned: bool = False) -> Tensor:
    moved = tensor.detach().to(device, non_blocking=True)
    moved = moved.pin_memory() if pinned else moved
    return nn.Parameter(moved, requires_grad=False) if isinstance(tensor, nn.Parameter) else moved


class OnDevice(Replicated):
    """A whole copy on a device of its own, to which inputs go and from which outputs come."""

    def __init__(self, network: nn.Module, place: torch.device) -> None:
        super().__init__(network)
        self.place = place

    @property
    def device(self) -> torch.device:
        """The device of its own."""
        return self.place

    def to(self, home: torch.device) -> None:
        """Remember the student's device; the network itself stays on its own."""
        self.home = home
        self.network.to(self.place)

    def arriving(self, inputs: T) -> T:
        """Send inputs to the network."""
        moved: T = move_data_to_device(inputs, self.place)
        return moved

    def leaving(self, outputs: T) -> T:
        """Send outputs to the student's device."""
        if self.home is None:
            return outputs
        moved: T = move_data_to_device(outputs, self.home)
        return moved


def placed(network: nn.Module, placement: str) -> Replicated:
    """Place a teacher.

    Args:
        network: The teacher.
        placement: "replicate", "shard", "offload", or a device such as "cuda:1" or "cpu".

    Raises:
        ValueError: If it is none of them.

    Example:
        >>> type(placed(nn.Linear(2, 2), "cpu")).__name__
        'OnDevice'
    """
    known = {"replicate": Replicated, "shard": Sharded, "offload": Offloaded}
    if placement in known:
        return known[placement](network)
    try:
        return OnDevice(network, torch.device(placement))
    except RuntimeError as error:
        raise ValueError(
            "Parameter `teacher_placement` should be 'replicate', 'shard', 'offload' or a device such as 'cuda:1'. "
            f"Found `teacher_placement = {placement!r}`."
        ) from error
