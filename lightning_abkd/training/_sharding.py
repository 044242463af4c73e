"""Modules whose weights lie in pieces on several ranks, by `fully_shard` of torch (FSDP2).

The rule: blocks of transformers models (`_no_split_modules` of each) are gathered one at a time, and so are the
children of any other network. All that remains is gathered once a step: embeddings and output layers of transformers
models, embeddings among the children, weights that several parts share, and the weights of the divergence. So a loss
sees whole output layers. Numbers alone (parameters without an axis) stay whole on every rank.
"""

import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import WeightAveraging
from lightning.pytorch.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method
from torch.distributed.tensor import DTensor, Shard
from torch.nn.parallel import DistributedDataParallel

from lightning_abkd.distributed import sum_over_ranks, world_size
from lightning_abkd.losses import DistillationLoss
from lightning_abkd.training._lightning import HostBatches, callbacks_of, share_data_between_all
from lightning_abkd.training._pieces import is_sharded
from lightning_abkd.training._strategies import register_strategies

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

T = TypeVar("T")

register_strategies()

# What Lightning calls in the place of `forward`: within it, the weights that all parts share are whole.
_STEPS = ("training_step", "validation_step", "test_step", "predict_step", "with_whole_weights")


class Sharding(HostBatches):
    """Mixin that shards itself, and with it the student and the divergence, under a `ModelParallelStrategy`.

    Override `configure_model` to shard by another rule, and call `fully_shard` on the module itself last.
    """

    student: nn.Module

    def configure_model(self) -> None:
        """Shard over the ranks that have different batches; do nothing under other strategies, or a second time.

        Raises:
            ValueError: If several ranks share each batch although no weight is split between them.
        """
        _keep_from_broadcasts(self)
        if self.device_mesh is None or is_sharded(self):
            return
        _check_all_ranks_differ(self, self.device_mesh)
        shard(self, self.student, self.device_mesh["data_parallel"])

    @property
    def in_step(self) -> Callable[..., Tensor]:
        """The module itself, to be called within a step; `fully_shard` would take that for the end of the step."""
        return self.forward if isinstance(self, FSDPModule) else self

    def with_whole_weights(self, function: Callable[[], T]) -> T:
        """Return what a function returns that runs the student outside of a step, as callbacks do.

        Where weights lie in pieces, every rank has to call this equally often, and the networks in it, too.
        """
        return function()


def _keep_from_broadcasts(module: nn.Module) -> None:
    """Let DistributedDataParallel send no α or β: it would broadcast them before each pass, and ranks agree already."""
    losses = [(path, part) for path, part in module.named_modules() if isinstance(part, DistillationLoss)]
    live = [
        f"{path}.{name}"
        for path, loss in losses
        for name, _ in loss.named_buffers(recurse=False)
        if loss.built_with(name) is not None
    ]
    DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, live)


def prepare_strategy(trainer: Trainer) -> None:
    """Let all ranks of a `ModelParallelStrategy` share the data unless it was told otherwise.

    Lightning's advice to evaluate on one device is silenced, because no sample counts twice.

    Raises:
        ValueError: If a callback keeps a copy of a module whose weights will lie in pieces.
    """
    warnings.filterwarnings("ignore", "Using `DistributedSampler` with the dataloaders. During")
    averaging = [type(callback).__name__ for callback in callbacks_of(trainer) if isinstance(callback, WeightAveraging)]
    if not isinstance(trainer.strategy, ModelParallelStrategy):
        # It expects that `configure_model` shards under every strategy.
        warnings.filterwarnings("ignore", "You're using the WeightAveraging callback with a model that overrides")
        return
    share_data_between_all(trainer.strategy)
    if averaging:
        raise ValueError(
            f"{averaging[0]} copies the module, which is impossible where its weights lie in pieces on several ranks. "
            "Found ModelParallelStrategy. Take the strategy ddp, or leave out the callback."
        )


def _check_all_ranks_differ(module: nn.Module, mesh: "DeviceMesh") -> None:
    replicas = mesh["tensor_parallel"].size()
    if replicas > 1 and not any(isinstance(parameter, DTensor) for parameter in module.parameters()):
        raise ValueError(
            "Parameter `tensor_parallel_size` of ModelParallelStrategy should be 1, because no weight is split between "
            f"the ranks that share a batch. Found `tensor_parallel_size = {replicas}`. Leave it out, or override "
            "`configure_model` to call `parallelize_module` before it calls that of the base class."
        )


def shard(module: nn.Module, network: nn.Module, mesh: "DeviceMesh") -> None:
    """Shard a module, the parts of one of its networks each for itself.

    Args:
        module: Module whose steps use all weights.
        network: Network in it that is called as a whole.
        mesh: The ranks, of one dimension.
    """
    kept = set(whole_parameters(module))
    axis_of = functools.partial(_even_axis, ranks=mesh.size())
    for part in sharded_parts(network):
        fully_shard(part, mesh=mesh, ignored_params=kept, shard_placement_fn=axis_of)
    fully_shard(module, mesh=mesh, ignored_params=kept, shard_placement_fn=axis_of)
    for name in _STEPS:
        if hasattr(module, name):
            register_fsdp_forward_method(module, name)


def _even_axis(parameter: nn.Parameter, ranks: int) -> Shard:
    """Return the first axis that can be cut evenly; the first of all, which may be cut unevenly, where none can."""
    return Shard(next((axis for axis, size in enumerate(parameter.shape) if size % ranks == 0), 0))


def whole_parameters(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that cannot lie in pieces, because they are single numbers.

    Example:
        >>> import torch
        >>> module = nn.ParameterList([torch.zeros(()), torch.zeros(3)])
        >>> len(whole_parameters(module))
        1
    """
    return [parameter for parameter in module.parameters() if parameter.dim() == 0]


def average_whole_gradients(module: nn.Module) -> None:
    """Replace the gradients of a sharded module's whole parameters by their averages over ranks, in place.

    The others are averaged in the backward pass. On a rank without a gradient it counts as 0.
    """
    if not isinstance(module, FSDPModule):
        return
    parameters = [parameter for parameter in whole_parameters(module) if parameter.requires_grad]
    if parameters:
        _average(parameters)


def _average(parameters: list[nn.Parameter]) -> None:
    sums = sum_over_ranks(torch.stack([_gradient_and_whether(parameter) for parameter in parameters]))
    for parameter, (total, found) in zip(parameters, sums, strict=True):
        if found:
            parameter.grad = (total / world_size()).to(parameter.dtype)


def _gradient_and_whether(parameter: nn.Parameter) -> Tensor:
    """Return the gradient and 1, or twice 0 without a gradient, shape (2,)."""
    if parameter.grad is None:
        return torch.zeros(2, dtype=torch.float64, device=parameter.device)
    gradient = parameter.grad.to(torch.float64)
    return torch.stack([gradient, torch.ones_like(gradient)])


def sharded_parts(network: nn.Module) -> list[nn.Module]:
    """Return the parts of a network that are gathered one at a time.

    These are the blocks of transformers models, or else the children, those of lists and lone children in their place.
    Left out are embeddings, and parts that share weights with something else.

    Example:
        >>> first, last = nn.Linear(4, 8), nn.Linear(8, 3)
        >>> sharded_parts(nn.Sequential(first, nn.ReLU(), last)) == [first, last]
        True
    """
    parts = _blocks(network) or [part for part in _children(network) if not isinstance(part, nn.Embedding)]
    parts = [part for part in parts if any(parameter.dim() for parameter in part.parameters())]
    shared = _shared(network, parts)
    return [part for part in parts if not any(id(parameter) in shared for parameter in part.parameters())]


def _blocks(network: nn.Module) -> list[nn.Module]:
    """Return the outermost modules that models of transformers want to keep in one piece."""
    names: set[str] = set()
    for module in network.modules():
        named: Iterable[str] | None = getattr(module, "_no_split_modules", None)
        names |= set(named or ())
    return list(_outermost(network, names)) if names else []


def _outermost(module: nn.Module, names: set[str]) -> Iterator[nn.Module]:
    for child in module.children():
        if type(child).__name__ in names:
            yield child
        else:
            yield from _outermost(child, names)


def _children(module: nn.Module) -> Iterator[nn.Module]:
    children = [child for child in module.children() if any(True for _ in child.parameters())]
    for child in children:
        # A list is never called itself, and with a lone child everything would be gathered at once.
        if type(child).forward is nn.Module.forward or (len(children) == 1 and any(True for _ in child.children())):
            yield from _children(child)
        else:
            yield child


def _shared(network: nn.Module, parts: list[nn.Module]) -> set[int]:
    """Return the ids of parameters that two parts have, or a part and what lies outside of all parts."""
    owners: dict[int, set[int]] = {}
    _collect_owners(network, {id(part) for part in parts}, 0, owners)
    return {parameter for parameter, found in owners.items() if len(found) > 1}


def _collect_owners(module: nn.Module, parts: set[int], owner: int, owners: dict[int, set[int]]) -> None:
    owner = id(module) if id(module) in parts and not owner else owner
    for parameter in module.parameters(recurse=False):
        owners.setdefault(id(parameter), set()).add(owner)
    for child in module.children():
        _collect_owners(child, parts, owner, owners)
