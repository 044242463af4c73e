"""Token ids that two networks have in common."""

from torch import nn

from lightning_abkd.language._networks import text_config
from lightning_abkd.language.data import Tokenizer, vocabulary_size
from lightning_abkd.training import LogOnce


def common_vocabulary(student: nn.Module, teacher: nn.Module | None, tokenizer: Tokenizer | None) -> int | None:
    """Return the number of real ids of networks whose embeddings are padded to different sizes; None keeps all ids."""
    networks = [network for network in (student, teacher) if network is not None]
    sizes = {text_config(network).vocab_size for network in networks if getattr(network, "config", None) is not None}
    return vocabulary_size(tokenizer) if len(sizes) > 1 and tokenizer is not None else None


def padding_ids(vocabulary: int | None, size: int, network: str) -> int:
    """Return how many of a network's ids only pad its vocabulary.

    Args:
        vocabulary: Number of real ids; None if all are real.
        size: Number of ids in the network's logits.
        network: "student" or "teacher", for the message.

    Raises:
        ValueError: If the network has fewer ids than `vocabulary`.
    """
    if vocabulary is None:
        return 0
    if size < vocabulary:
        raise ValueError(
            f"Parameter `vocabulary` should be at most the number of ids of each network. "
            f"Found `vocabulary = {vocabulary}` and {size} ids in the logits of the {network}."
        )
    return size - vocabulary


def log_padding(vocabulary: int | None, size: int, network: str, log_once: LogOnce) -> None:
    """Log how many of a network's ids are left out because they only pad its vocabulary; arguments as in `padding_ids`.

    Raises:
        ValueError: If the network has fewer ids than `vocabulary`.
    """
    padding = padding_ids(vocabulary, size, network)
    if padding:
        log_once(f"Left out {padding} padding ids of the {network}'s {size}.")
