"""A causal language model taken apart into what gives hidden states and what turns them into logits."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lightning_abkd.losses import OutputHead
from lightning_abkd.training import eval_mode

if TYPE_CHECKING:
    from transformers import PretrainedConfig


@dataclass(frozen=True)
class SeparateHead:
    """Backbone and output layer of one network; both stay parts of it, so that their parameters are live.

    Args:
        backbone: Maps keyword arguments to an object with `.last_hidden_state` (B, T, D).
        layer: The output layer, D to V.
        scale: Factor of the logits.
        softcap: Soft-cap of the logits, or None.
    """

    backbone: nn.Module
    layer: nn.Linear
    scale: float = 1.0
    softcap: float | None = None

    def hidden(self, **inputs: Tensor) -> Tensor:
        """Compute the last hidden states (B, T, D); no cache of keys and values is built."""
        hidden: Tensor = self.backbone(**inputs, use_cache=False).last_hidden_state
        return hidden

    def head(self) -> OutputHead:
        """Give the output layer's weights as they are now."""
        return OutputHead(self.layer.weight, self.layer.bias, self.scale, self.softcap)


def separate_head(network: nn.Module) -> SeparateHead:
    """Take a causal language model of transformers apart, and check that the parts compute what the whole does.

    Honoured are the bias of the output layer, a factor of the logits (`logit_scale` of Cohere, `logits_scaling` of
    Granite) and a soft-cap (`final_logit_softcapping` of Gemma 2); adapters inside the backbone stay active. The check
    is a forward pass of both on a few tokens in eval mode.

    Args:
        network: A model of transformers, or an adapted one of peft.

    Returns:
        Its parts.

    Raises:
        ValueError: If the network cannot be taken apart so, naming the reason.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> model = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> separate_head(model).head().weight.shape
        torch.Size([16, 8])
    """
    name = type(network).__name__
    # peft keeps the model it has adapted inside its own.
    unwrap: Callable[[], nn.Module] = getattr(network, "get_base_model", lambda: network)
    inner = unwrap()
    layer_of: Callable[[], object] = getattr(inner, "get_output_embeddings", lambda: None)
    layer, backbone = layer_of(), getattr(inner, "base_model", None)
    if type(layer) is not nn.Linear:
        raise ValueError(f"{name} has {type(layer).__name__} as its output layer, not a plain linear one")
    if not isinstance(backbone, nn.Module) or backbone is inner:
        raise ValueError(f"{name} has no backbone (`base_model`)")
    parts = SeparateHead(backbone, layer, *_finish(getattr(inner, "config")))  # noqa: B009
    with eval_mode(network), torch.autocast(layer.weight.device.type, enabled=False):
        ids = torch.arange(min(4, layer.out_features), device=layer.weight.device).unsqueeze(0)
        mask = torch.ones_like(ids)
        whole = network(input_ids=ids, attention_mask=mask).logits
        try:
            separate = parts.head().logits(parts.hidden(input_ids=ids, attention_mask=mask))
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"the backbone of {name} cannot be called alone ({error})") from error
    tolerance = 1e-4 if whole.dtype in (torch.float32, torch.float64) else 0.02
    if whole.shape != separate.shape or not torch.allclose(whole, separate, rtol=tolerance, atol=tolerance):
        raise ValueError(f"{name} does more between its last hidden states and its logits")
    return parts


def _finish(config: "PretrainedConfig") -> tuple[float, float | None]:
    """Find the factor and the soft-cap of the logits in a configuration."""
    options: Mapping[str, object] = config.get_text_config().to_dict()
    scale = float(options.get("logit_scale") or 1.0) / float(options.get("logits_scaling") or 1.0)  # type: ignore[arg-type]
    softcap = options.get("final_logit_softcapping")
    return scale, None if softcap is None else float(softcap)  # type: ignore[arg-type]
