"""The names that a network's own weights have, whatever wraps it or parts of it."""

from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn

from lightning_abkd.training._pieces import storage_place

# Wrappers by class, with the attribute that holds what they wrap. A class is known by its name, so that nothing is
# imported for it, and an attribute "module" of any other class is an honest part of a network.
_WRAPPERS = {
    "torch._dynamo.eval_frame.OptimizedModule": "_orig_mod",
    "torch.nn.parallel.data_parallel.DataParallel": "module",
    "torch.nn.parallel.distributed.DistributedDataParallel": "module",
    "torch.optim.swa_utils.AveragedModel": "module",
    "timm.utils.model_ema.ModelEmaV2": "module",
    "timm.utils.model_ema.ModelEmaV3": "module",
    "ema_pytorch.ema_pytorch.EMA": "ema_model",
}


def unwrap(network: nn.Module) -> nn.Module:
    """Return what `torch.compile`, DataParallel or an average wraps.

    Args:
        network: Any network. Only the classes of torch, timm and ema_pytorch that wrap networks count as wrappers.

    Returns:
        The network inside all of them; another one as it is.

    Example:
        >>> unwrap(nn.DataParallel(torch.compile(nn.Linear(2, 1))))
        Linear(in_features=2, out_features=1, bias=True)
    """
    while (part := _wrapped_part(network)) is not None:
        network = network.get_submodule(part)
    return network


def own_names(network: nn.Module, names: Iterable[str]) -> dict[str, str]:
    """Map names of a network's state dict to its own names, and leave out what belongs to its wrappers alone.

    Args:
        network: A network that may be wrapped, or have wrapped parts.
        names: Names of its parameters and buffers.

    Returns:
        The own name for each name, in order.

    Example:
        >>> network = nn.Sequential(nn.DataParallel(nn.Linear(2, 1)))
        >>> own_names(network, network.state_dict())
        {'0.module.weight': '0.weight', '0.module.bias': '0.bias'}
    """
    modules = network.named_modules(remove_duplicate=False)
    parts = {path: part for path, module in modules if (part := _wrapped_part(module)) is not None}
    owned = {name: _own_name(name, parts) for name in names}
    return {name: own for name, own in owned.items() if own is not None}


def own_state(network: nn.Module) -> dict[str, object]:
    """Return a network's state dict by its own names.

    Args:
        network: A network that may be wrapped, or have wrapped parts.

    Returns:
        Tensors by name, or what `get_extra_state` of a module returned.

    Example:
        >>> list(own_state(torch.compile(nn.Linear(2, 1))))
        ['weight', 'bias']
    """
    state = network.state_dict()
    return {own: state[name] for name, own in own_names(network, state).items()}


def first_names(state: Mapping[str, object]) -> dict[str, str]:
    """Map each name to the first one that has the very same tensor: the same memory, shape and strides.

    Example:
        >>> weight = torch.zeros(2, 3)
        >>> first_names({"embedding": weight, "head": weight, "part": weight[:1]})
        {'embedding': 'embedding', 'head': 'embedding', 'part': 'part'}
    """
    firsts: dict[tuple[object, ...], str] = {}
    return {name: firsts.setdefault(_place(value), name) for name, value in state.items()}


class StrippedNames:
    """A network's own names without the parts that wrappers put into the names of files."""

    def __init__(self, names: Iterable[str], parts: tuple[str, ...]) -> None:
        self._parts = parts
        self._owns = {self.strip(name): name for name in names}

    def __len__(self) -> int:
        return len(self._owns)

    def strip(self, name: str) -> str:
        """Return a name without those parts."""
        return ".".join(part for part in name.split(".") if part not in self._parts)

    def by_stripped(self, name: str) -> str | None:
        """Return the network's own name for a name of a file, None if it has none."""
        return self._owns.get(self.strip(name))


def stripped_names(names: Collection[str]) -> list[StrippedNames]:
    """Return the ways to compare names: without what `torch.compile` adds, then also without "module" anywhere."""
    ways = [StrippedNames(names, ("_orig_mod",)), StrippedNames(names, ("_orig_mod", "module"))]
    # Where a part tells two weights apart, it is no wrapper's.
    return [way for way in ways if len(way) == len(names)]


def below(weights: Mapping[str, object], prefix: str) -> dict[str, object]:
    """Return the weights whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def prefixed(prefix: str, weights: Mapping[str, object]) -> dict[str, object]:
    """Return the weights with a prefix before their names."""
    return {f"{prefix}{name}": value for name, value in weights.items()}


def _wrapped_part(module: nn.Module) -> str | None:
    names = (f"{base.__module__}.{base.__qualname__}" for base in type(module).__mro__)
    return next((_WRAPPERS[name] for name in names if name in _WRAPPERS), None)


def _own_name(name: str, wrappers: Mapping[str, str]) -> str | None:
    """Return a name without the wrapped parts, None if it is a wrapper's own; `wrappers` maps paths to those parts."""
    kept = []
    parts = name.split(".")
    for position, part in enumerate(parts):
        wrapped = wrappers.get(".".join(parts[:position]))
        if wrapped is None:
            kept.append(part)
        elif part != wrapped:
            return None
    return ".".join(kept)


def _place(value: object) -> tuple[object, ...]:
    """Return what two equal tensors in one place have in common, and nobody else has."""
    if not isinstance(value, Tensor) or nn.parameter.is_lazy(value):
        return (id(value),)
    if value.layout != torch.strided or not value.numel() or value.is_meta:
        return (id(value),)
    return (value.device, storage_place(value), value.dtype, tuple(value.shape), value.stride())
