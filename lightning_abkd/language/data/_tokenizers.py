"""Tokenizers, and whether two of them give the same tokens."""

import hashlib
import json
from collections.abc import Mapping
from typing import Protocol

from lightning.pytorch.utilities import rank_zero_info

_SHOWN = 3


class Tokenizer(Protocol):
    """What is asked of a tokenizer; every one of transformers has it."""

    pad_token_id: int | None
    eos_token_id: int | None

    def encode(self, text: str, add_special_tokens: bool = True, verbose: bool = True) -> list[int]:
        """Turn text into token ids."""

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token, added ones included."""

    def apply_chat_template(
        self, conversation: list[Mapping[str, str]], tokenize: bool = True, add_generation_prompt: bool = False
    ) -> str:
        """Write a conversation as text; asked for only with `chat_template`."""


def byte_tokenizer() -> object:
    """Build ByT5's tokenizer, whose 384 ids are bytes and markers, so that it needs no files."""
    from transformers import ByT5Tokenizer

    return ByT5Tokenizer()


def load_tokenizer(path: str, gguf_file: str | None = None) -> object:
    """Load a tokenizer from a folder or a hub name with `AutoTokenizer.from_pretrained`.

    Args:
        path: Folder, or name on the hub.
        gguf_file: File inside the folder to read as GGUF.
    """
    from transformers import AutoTokenizer

    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    return AutoTokenizer.from_pretrained(path, **options)


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Count the ids that stand for a token: 1 + the largest one, added tokens included.

    Embeddings are often padded to a rounder number; logits from this id on mean nothing.

    Example:
        >>> vocabulary_size(byte_tokenizer())
        384
    """
    return 1 + max(tokenizer.get_vocab().values())


def check_same_tokens(student: Tokenizer, teacher: Tokenizer) -> None:
    """Check that every id stands for the same token, so that distributions over ids can be compared.

    Args:
        student: Tokenizer that the data are written with.
        teacher: Tokenizer that the teacher was trained with.

    Raises:
        ValueError: If an id stands for different tokens, or for a token on one side only.

    Example:
        >>> check_same_tokens(byte_tokenizer(), byte_tokenizer())
    """
    ours, theirs = ({id_: token for token, id_ in side.get_vocab().items()} for side in (student, teacher))
    differing = sorted(id_ for id_ in ours.keys() | theirs.keys() if ours.get(id_) != theirs.get(id_))
    if differing:
        shown = (f"{id_}: {ours.get(id_, 'none')!r} and {theirs.get(id_, 'none')!r}" for id_ in differing[:_SHOWN])
        raise ValueError(
            "Parameter `teacher_tokenizer` should give every id the token that `tokenizer` gives it. "
            f"Found {len(differing)} ids that differ, of the student and of the teacher: {'; '.join(shown)}"
            f"{' …' if len(differing) > _SHOWN else ''}. Use a teacher with the same tokenizer."
        )


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """Compute 16 hex digits that tell vocabularies apart, the same in every process.

    Example:
        >>> tokenizer_fingerprint(byte_tokenizer())
        '23ad816e0a271fcb'
    """
    return hashlib.sha256(json.dumps(sorted(tokenizer.get_vocab().items())).encode()).hexdigest()[:16]


def padding_id(tokenizer: Tokenizer) -> int:
    """Choose the id that fills up rows, and say so if the tokenizer has none for it."""
    if tokenizer.pad_token_id is not None:
        return tokenizer.pad_token_id
    # Padded positions are masked, so that any id will do.
    rank_zero_info("The tokenizer has no padding token: padding uses the end-of-text token and is masked.")
    return tokenizer.eos_token_id or 0
