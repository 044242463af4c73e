"""A causal language model taken apart into the backbone, which computes hidden states, and the head on top of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightning_abkd.language._networks import text_config
from lightning_abkd.losses import OutputHead
from lightning_abkd.training import eval_mode


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

    def hidden(self, **inputs: Tensor) -> Tensor:
        """Compute the last hidden states (B, T, D); no cache of keys and values is built."""
        hidden: Tensor = self.backbone(**inputs, use_cache=False).last_hidden_state
        return hidden

    def head(self, vocabulary: int | None = None) -> OutputHead:
        """Return the output layer's weights as they are now, the first `vocabulary` rows of them or all."""
        head = OutputHead(self.layer.weight, self.layer.bias, self.scale, self.softcap)
        return head if vocabulary is None else head.cut(vocabulary)


class _LogitTransform(NamedTuple):
    """Factor and soft-cap that a network applies to the outputs of its output layer."""

    scale: float
    softcap: float | None


def separate_head(network: nn.Module) -> SeparateHead:
    """Take a causal language model of transformers apart, and check that its parts compute the same logits.

    Supported are the bias of the output layer, a factor of the logits (`logit_scale` of Cohere, `logits_scaling` of
    Granite) and a soft-cap (`final_logit_softcapping` of Gemma 2). Adapters inside the backbone stay active. The check
    runs the whole and its parts on a few tokens in eval mode.

    Args:
        network: A model of transformers, or an adapted one of peft.

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
    _check_same_logits(network, parts)
    return parts


def _parts_of(network: nn.Module) -> SeparateHead:
    name = type(network).__name__
    # peft keeps the model it has adapted inside its own.
    unwrap: Callable[[], nn.Module] = getattr(network, "get_base_model", lambda: network)
    inner = unwrap()
    layer_of: Callable[[], object] = getattr(inner, "get_output_embeddings", lambda: None)
    layer = layer_of()
    # A subclass, such as a quantized layer, may compute something else than its weight says.
    if type(layer) is not nn.Linear:
        raise ValueError(f"{name} has {type(layer).__name__} as its output layer, not a plain linear one")
    backbone = getattr(inner, "base_model", None)
    if not isinstance(backbone, nn.Module) or backbone is inner:
        raise ValueError(f"{name} has no backbone (`base_model`)")
    transform = _logit_transform(inner)
    return SeparateHead(backbone, layer, transform.scale, transform.softcap)


def _logit_transform(network: nn.Module) -> _LogitTransform:
    """Read the factor and the soft-cap of the logits from a network's configuration."""
    options: Mapping[str, float | None] = text_config(network).to_dict()
    scale = float(options.get("logit_scale") or 1.0) / float(options.get("logits_scaling") or 1.0)
    softcap = options.get("final_logit_softcapping")
    return _LogitTransform(scale, None if softcap is None else float(softcap))


def _check_same_logits(network: nn.Module, parts: SeparateHead) -> None:
    """Raise ValueError if the parts of a network compute other logits than the whole."""
    name = type(network).__name__
    device = parts.layer.weight.device
    with eval_mode(network), torch.autocast(device.type, enabled=False):
        ids = torch.arange(min(4, parts.layer.out_features), device=device).unsqueeze(0)
        mask = torch.ones_like(ids)
        whole: Tensor = network(input_ids=ids, attention_mask=mask).logits
        try:
            separate = parts.head().logits(parts.hidden(input_ids=ids, attention_mask=mask))
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"the backbone of {name} cannot be called alone ({error})") from error
    tolerance = 1e-4 if whole.dtype in (torch.float32, torch.float64) else 0.02
    if whole.shape != separate.shape or not torch.allclose(whole, separate, rtol=tolerance, atol=tolerance):
        raise ValueError(f"{name} computes more than its output layer between its last hidden states and its logits")
