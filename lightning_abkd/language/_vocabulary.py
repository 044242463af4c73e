"""Token ids that two networks have in common."""

from torch import nn

from lightning_abkd.language.data import Tokenizer, vocabulary_size


def common_vocabulary(student: nn.Module, teacher: nn.Module | None, tokenizer: Tokenizer | None) -> int | None:
    """Return the number of real ids of networks whose embeddings are padded to different sizes; None keeps all ids."""
    configs = [getattr(network, "config", None) for network in (student, teacher)]
    sizes = {config.get_text_config().vocab_size for config in configs if config is not None}
    return vocabulary_size(tokenizer) if len(sizes) > 1 and tokenizer is not None else None


def padding_ids(vocabulary: int | None, size: int, network: str) -> int:
    """Return how many of a network's ids only pad its vocabulary.

    Args:
        vocabulary: Number of real ids, or None where all are.
        size: Number of ids in the network's logits.
        network: "student" or "teacher", for the message.

    Raises:
        ValueError: If the network has fewer ids than are real.
    """
    if vocabulary is None:
        return 0
    if size < vocabulary:
        raise ValueError(
            f"Parameter `vocabulary` should be at most the number of ids of each network. "
            f"Found `vocabulary = {vocabulary}` and {size} ids in the logits of the {network}."
        )
    return size - vocabulary
