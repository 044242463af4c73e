"""What this package reads from networks of transformers and peft."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor, nn

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


def input_embedding(network: nn.Module) -> object:
    """Return a network's embedding of token ids, or None if it does not say which it is."""
    find: Callable[[], object] = getattr(network, "get_input_embeddings", lambda: None)
    try:
        return find()
    except NotImplementedError:
        return None


def embedding_rows(network: nn.Module) -> int | None:
    """Return how many token ids a network's embedding has, or None if it does not say.

    Example:
        >>> from lightning_abkd.models import causal_lm_from_config
        >>> network = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
        >>> embedding_rows(network)
        16
    """
    embedding = input_embedding(network)
    rows: object = getattr(embedding, "num_embeddings", None)
    if not isinstance(rows, int):
        # Adapters hold the embedding inside.
        weight: object = getattr(embedding, "weight", None)
        rows = len(weight) if isinstance(weight, Tensor) and weight.dim() == 2 else None
    return rows if isinstance(rows, int) and rows > 0 else None
