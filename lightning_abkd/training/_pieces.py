"""Networks whose weights lie in pieces on several ranks: whether they do, and their weights as a whole."""

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer


def is_sharded(module: nn.Module) -> bool:
    """Return True if a module or a part of it is sharded."""
    return any(isinstance(part, FSDPModule) for part in module.modules())


def has_pieces(network: nn.Module) -> bool:
    """Return True if a forward pass of a network has to gather weights from other ranks now."""
    return any(isinstance(parameter, DTensor) for parameter in network.parameters())


def hold_whole(module: nn.Module) -> None:
    """Gather all weights of a sharded module that has run before, and keep them."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def release(module: nn.Module) -> None:
    """Keep pieces alone of weights that were held, and shard again after each forward pass."""
    for part in module.modules():
        if isinstance(part, FSDPModule):
            # The outermost one stays whole between forward and backward pass.
            part.set_reshard_after_forward(part is not module, recurse=False)
            part.reshard()


def whole_state(network: nn.Module) -> dict[str, Tensor]:
    """Return the state of a network with whole weights on the CPU, on the first rank; empty on the others.

    Every rank has to call it where weights lie in pieces.
    """
    state = get_model_state_dict(network, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}


def local_part(tensor: Tensor) -> Tensor:
    """Return what this rank has of a tensor, which shares its memory; the tensor itself if it is whole."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def local_gradients(optimizer: Optimizer) -> list[Tensor]:
    """Return the gradients of an optimizer's parameters, of each what this rank has of it."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return [local_part(parameter.grad) for parameter in parameters if parameter.grad is not None]


def storage_place(tensor: Tensor) -> int:
    """Return where the values of a tensor begin in memory, or those of this rank's piece, of which it may have none."""
    if not isinstance(tensor, DTensor):
        return tensor.data_ptr()
    own = tensor.to_local()
    return own.untyped_storage().data_ptr() + int(own.storage_offset()) * own.element_size()
