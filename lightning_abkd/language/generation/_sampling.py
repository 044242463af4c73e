"""How responses are drawn, and the special token ids that this needs."""

from dataclasses import dataclass

from torch import nn

from lightning_abkd._utils import check_at_least, check_interval, digest
from lightning_abkd.language._networks import embedding_rows
from lightning_abkd.language.data import Tokenizer


class Sampling:
    """How responses are drawn from a language model.

    Args:
        max_new_tokens: Longest response in tokens, at least 1.
        temperature: Divisor of the logits; 0 takes the most probable token each time (greedy).
        top_p: Draw from the most probable tokens that together have this probability, in (0, 1].
        no_repeat_ngram_size: Length of token sequences that may not occur twice; 0 allows all. ABKD's final evaluation
            uses 6.

    Raises:
        ValueError: If an argument is outside its range.

    Example:
        >>> Sampling(max_new_tokens=8, temperature=0.0).options()
        {'do_sample': False, 'max_new_tokens': 8, 'no_repeat_ngram_size': 0}
    """

    def __init__(
        self, max_new_tokens: int = 256, temperature: float = 1.0, top_p: float = 1.0, no_repeat_ngram_size: int = 0
    ) -> None:
        check_at_least("max_new_tokens", max_new_tokens, 1)
        check_at_least("temperature", temperature, 0)
        check_interval("top_p", top_p, "(0, 1]")
        check_at_least("no_repeat_ngram_size", no_repeat_ngram_size, 0)
        self.max_new_tokens = max_new_tokens
        self.temperature = temperature
        self.top_p = top_p
        self.no_repeat_ngram_size = no_repeat_ngram_size

    def options(self) -> dict[str, object]:
        """Return the options of transformers' `generate`."""
        options: dict[str, object] = {"do_sample": self.temperature > 0, "max_new_tokens": self.max_new_tokens}
        if self.temperature:
            options |= {"temperature": self.temperature, "top_p": self.top_p, "top_k": 0}
        return options | {"no_repeat_ngram_size": self.no_repeat_ngram_size}


@dataclass(frozen=True)
class SpecialIds:
    """Token ids that generation treats specially.

    Args:
        end: End-of-text token, which ends a response; None if there is none.
        padding: Id that fills up rows.
        vocabulary: Number of real ids; others are never drawn. None if all are real.

    Example: see `special_ids_of`.
    """

    end: int | None
    padding: int
    vocabulary: int | None = None


def special_ids_of(tokenizer: Tokenizer | None, network: nn.Module, vocabulary: int | None = None) -> SpecialIds:
    """Find the special ids of a tokenizer, or without one those of the network's configuration.

    Example:
        >>> from lightning_abkd.data import byte_tokenizer
        >>> special_ids_of(byte_tokenizer(), nn.Linear(1, 1))
        SpecialIds(end=1, padding=0, vocabulary=None)
    """
    source = getattr(network, "config", None) if tokenizer is None else tokenizer
    end = getattr(source, "eos_token_id", None)
    if isinstance(end, list):
        end = end[0]
    padding = getattr(source, "pad_token_id", None)
    rows = embedding_rows(network)
    if padding is None or (rows is not None and padding >= rows):
        # Padded positions are masked, so any id will do; that of an added token may be beyond the embedding.
        padding = end if end is not None and (rows is None or end < rows) else 0
    return SpecialIds(end, padding, vocabulary)


def seed_of_stream(seed: int, stream: int) -> int:
    """Compute the seed of one of several streams of draws.

    The seeds of streams have nothing in common, also with those of another seed, so that streams may be split again.

    Args:
        seed: Seed of all streams.
        stream: Number of the stream, such as a rank, a batch or the position of a sample; 0 keeps the seed.

    Example:
        >>> len({seed_of_stream(seed, stream) for seed in range(10) for stream in range(10)})
        100
    """
    # 60 bits, because torch takes no more than 63.
    return seed if stream == 0 else int(digest(f"{seed} {stream}".encode())[:15], 16)
