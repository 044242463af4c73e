"""What this package reads from networks of transformers and peft."""

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def text_config(network: nn.Module) -> "PretrainedConfig":
    """Return the text part of a network's configuration, with its numbers of token ids, positions and layers.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> text_config(network).vocab_size
        16
    """
    config: PretrainedConfig = getattr(network, "config")  # noqa: B009  (a Module's attributes are typed as tensors)
    return config.get_text_config()
