"""Whether an output layer computes what its weight says and nothing more, and what else hooks make of a network."""

from collections.abc import Iterable, Mapping

from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.modules import module as modules_of_torch

# Where a module keeps its hooks; torch keeps those of all modules under the same names with "_global" in front.
_HOOKS = {
    "_forward_pre_hooks": "forward pre-hook",
    "_forward_hooks": "forward hook",
    "_backward_pre_hooks": "backward pre-hook",
    "_backward_hooks": "backward hook",
}


def plain_layer(layer: object, network: str) -> nn.Linear:
    """Return an output layer that computes h Wᵀ + b from its parameters; raise ValueError, with the reason, for others.

    Pruning, weight norm and spectral norm compute the weight in a hook or in a subclass. Adapters and quantization
    replace the layer or its weight. All of them would be passed over by a product with the weight.

    Args:
        layer: The output layer.
        network: Name of the network, for the message.

    Example:
        >>> plain_layer(nn.Linear(2, 4), "Network").out_features
        4
    """
    # A subclass, such as a quantized layer, may compute something else than its weight says.
    if type(layer) is not nn.Linear:
        raise ValueError(f"{network} has {_type_name(layer)} as its output layer, not a plain linear one")
    check_no_hooks([layer], network, "the output layer")
    if "forward" in vars(layer) and not _is_moved_alone(layer):
        raise computes_more(network, "the output layer has a `forward` of its own")
    for name in ("weight", "bias"):
        value = getattr(layer, name)
        if value is not None and (not _is_plain(value) or not value.is_floating_point()):
            found = f"{type(value).__name__} of {value.dtype}"
            raise computes_more(network, f"the {name} of the output layer is no plain parameter but a {found}")
    return layer


def _is_plain(value: object) -> bool:
    """Return True for a parameter of torch itself, whole or in pieces on several ranks."""
    return type(value) is nn.Parameter or (type(value) is DTensor and isinstance(value, nn.Parameter))


def check_no_hooks(modules: Iterable[nn.Module], network: str, where: str) -> None:
    """Raise ValueError, with the reason, if a module has hooks, or all modules have.

    Args:
        modules: The modules.
        network: Name of the network, for the message.
        where: What the modules are, for the message.
    """
    for name, kind in _HOOKS.items():
        for module in modules:
            hooks: Mapping[int, object] = vars(module)[name]
            if hooks:
                raise computes_more(network, f"{where} has a {kind} ({_name_of(next(iter(hooks.values())))})")
        everywhere: Mapping[int, object] = getattr(modules_of_torch, f"_global{name}")
        if everywhere:
            raise computes_more(network, f"all modules have a {kind} ({_name_of(next(iter(everywhere.values())))})")


def computes_more(network: str, reason: str = "") -> ValueError:
    """Build the error for a network whose logits are not those of its last hidden states and its output layer."""
    what = f"{network} computes more than its output layer between its last hidden states and its logits"
    return ValueError(f"{what}: {reason}" if reason else what)


def _type_name(layer: object) -> str:
    """Name a type; adapters and quantized layers bear the name of the layer that they replace."""
    kind = type(layer)
    return f"{kind.__module__}.{kind.__name__}" if kind.__name__ == "Linear" else kind.__name__


def _name_of(hook: object) -> str:
    return str(getattr(hook, "__qualname__", type(hook).__name__))


def _is_moved_alone(layer: nn.Module) -> bool:
    """Return True if accelerate has given a layer its `forward`, which moves inputs between devices and no more."""
    hook = vars(layer).get("_hf_hook")
    return type(hook).__name__ == "AlignDevicesHook" and not getattr(hook, "offload", True)
