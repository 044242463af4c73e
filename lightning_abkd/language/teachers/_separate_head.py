"""A causal language model taken apart into the backbone, which computes hidden states, and the head on top of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from lightning_abkd.language._batches import TokenBatch
from lightning_abkd.language._networks import text_config
from lightning_abkd.language.teachers._output_layer import check_no_hooks, plain_layer
from lightning_abkd.language.teachers._same_logits import check_same_logits
from lightning_abkd.losses import OutputHead


class _Outside(NamedTuple):
    """What lies around the backbone of a network.

    Args:
        name: Name of the network.
        modules: The modules that contain the backbone, the network itself first.
        forwards: The `forward` that an object of them has in place of its class's, or None, one for each module.
        layer_of: Returns the output layer that the network has now.
    """

    name: str
    modules: tuple[nn.Module, ...]
    forwards: tuple[object, ...]
    layer_of: Callable[[], object]


@dataclass(frozen=True)
class SeparateHead:
    """Backbone and output layer of one network; both stay parts of it and share its parameters.

    Args:
        backbone: Maps keyword arguments to an object with `.last_hidden_state` (B, T, D).
        layer: The output layer, D to V.
        scale: Factor of the logits.
        softcap: Soft-cap of the logits, or None.

    Example: see `separate_head`.
    """

    backbone: nn.Module
    layer: nn.Linear
    scale: float = 1.0
    softcap: float | None = None
    _outside: _Outside | None = field(default=None, repr=False, compare=False)

    def hidden(self, **inputs: Tensor) -> Tensor:
        """Compute the last hidden states (B, T, D); no cache of keys and values is built."""
        hidden: Tensor = self.backbone(**inputs, use_cache=False).last_hidden_state
        return hidden

    def head(self, vocabulary: int | None = None) -> OutputHead:
        """Return the output layer's weights as they are now, the first `vocabulary` rows of them or all.

        Weights that lie in pieces on several ranks are gathered, and gradients go back to the pieces.
        """
        bias = None if self.layer.bias is None else _whole(self.layer.bias)
        head = OutputHead(_whole(self.layer.weight), bias, self.scale, self.softcap)
        return head if vocabulary is None else head.cut(vocabulary)

    def check(self) -> None:
        """Raise ValueError, with the reason, if the network has come to compute something else than its parts.

        Hooks, pruning, parametrizations, adapters and other output layers may come in the middle of a run. This is
        cheap enough for every step.

        Raises:
            ValueError: If the parts do not stand in for the network any more.
        """
        outside = self._outside
        plain_layer(self.layer, "the network" if outside is None else outside.name)
        if outside is None:
            return
        check_no_hooks(outside.modules, outside.name, "the network")
        if outside.layer_of() is not self.layer or _own_forwards(outside.modules) != outside.forwards:
            raise ValueError(f"{outside.name} has changed since it was taken apart")


def _whole(weight: Tensor) -> Tensor:
    return weight.full_tensor() if isinstance(weight, DTensor) else weight


class _LogitTransform(NamedTuple):
    """Factor and soft-cap that a network applies to the outputs of its output layer."""

    scale: float
    softcap: float | None


def separate_head(network: nn.Module, inputs: TokenBatch | None = None) -> SeparateHead:
    """Take a causal language model of transformers apart, and check that its parts compute the same logits.

    Supported are the bias of the output layer, a factor of the logits (`logit_scale` of Cohere, `logits_scaling` of
    Granite) and a soft-cap (`final_logit_softcapping` of Gemma 2). Adapters inside the backbone stay active. An output
    layer that is more than its weight is refused: one with hooks, pruning, parametrizations, adapters or quantized
    weights. The check runs the whole and its parts on a few tokens, in eval mode and, if the network trains, in train
    mode with the same random numbers. Afterwards modes, buffers and random state are as before.

    Args:
        network: A model of transformers, or an adapted one of peft.
        inputs: A few tokens to compare on, as the keyword arguments of the network; None takes the first four ids.

    Returns:
        Its parts.

    Raises:
        ValueError: If the network cannot be taken apart, with the reason.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> model = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> separate_head(model).head().weight.shape
        torch.Size([16, 8])
    """
    parts = _parts_of(network)
    parts.check()
    check_same_logits(network, parts.hidden, parts.head(), inputs)
    return parts


def _parts_of(network: nn.Module) -> SeparateHead:
    name = type(network).__name__
    # peft keeps the model it has adapted inside its own.
    unwrap: Callable[[], nn.Module] = getattr(network, "get_base_model", lambda: network)
    inner = unwrap()
    layer_of: Callable[[], object] = getattr(inner, "get_output_embeddings", lambda: None)
    layer = plain_layer(layer_of(), name)
    backbone = getattr(inner, "base_model", None)
    if not isinstance(backbone, nn.Module) or backbone is inner:
        raise ValueError(f"{name} has no backbone (`base_model`)")
    transform = _logit_transform(inner)
    around = _modules_around(network, backbone)
    outside = _Outside(name, around, _own_forwards(around), layer_of)
    return SeparateHead(backbone, layer, transform.scale, transform.softcap, outside)


def _modules_around(network: nn.Module, backbone: nn.Module) -> tuple[nn.Module, ...]:
    """Return the modules of a network that contain its backbone, the network itself first."""
    path = next((path for path, module in network.named_modules() if module is backbone), "")
    names = path.split(".")[:-1]
    return (network, *(network.get_submodule(".".join(names[: depth + 1])) for depth in range(len(names))))


def _own_forwards(modules: tuple[nn.Module, ...]) -> tuple[object, ...]:
    return tuple(vars(module).get("forward") for module in modules)


def _logit_transform(network: nn.Module) -> _LogitTransform:
    """Read the factor and the soft-cap of the logits from a network's configuration."""
    options: Mapping[str, float | None] = text_config(network).to_dict()
    scale = float(options.get("logit_scale") or 1.0) / float(options.get("logits_scaling") or 1.0)
    softcap = options.get("final_logit_softcapping")
    return _LogitTransform(scale, None if softcap is None else float(softcap))
