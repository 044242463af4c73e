"""Tokenizers, and how they are compared."""

import json
from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard

from lightning.pytorch.utilities import rank_zero_info

from lightning_abkd._utils import check_gguf_file, digest, folder_or_hub, reading_pretrained

_SHOWN = 3


class Tokenizer(Protocol):
    """The part of a tokenizer that is used; every tokenizer of transformers has it.

    Example:
        >>> tokens: Tokenizer = byte_tokenizer()
        >>> tokens.encode("ab", add_special_tokens=False)
        [100, 101]
    """

    pad_token_id: int | None
    eos_token_id: int | None

    def encode(self, text: str, add_special_tokens: bool = True, verbose: bool = True) -> list[int]:
        """Return the ids of a text."""

    def get_vocab(self) -> dict[str, int]:
        """Return the id of every token, added ones included."""

    def apply_chat_template(self, conversation: list[Mapping[str, object]], **options: Any) -> object:
        """Write a conversation as text or ids; called only on tokenizers with a `chat_template`."""


def byte_tokenizer() -> Tokenizer:
    """Build ByT5's tokenizer. Its 384 ids are bytes and markers, so it needs no files.

    Example:
        >>> byte_tokenizer().encode("ab")
        [100, 101, 1]
    """
    from transformers import ByT5Tokenizer

    return as_tokenizer("tokenizer", ByT5Tokenizer())


def load_tokenizer(path: str, gguf_file: str | None = None, trust_remote_code: bool = False) -> Tokenizer:
    """Load a tokenizer from a folder or from the hub with `AutoTokenizer.from_pretrained`.

    Args:
        path: Folder, or name on the hub.
        gguf_file: File in the folder to read as GGUF.
        trust_remote_code: Run code that lies beside the vocabulary. It may do whatever you may: read it first.

    Returns:
        The tokenizer.

    Raises:
        FileNotFoundError: If `path` is neither a folder nor owner/name on the hub, or lacks the GGUF file.
        ValueError: If what is there cannot be read, or needs code that is not trusted.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     _ = byte_tokenizer().save_pretrained(folder)
        ...     load_tokenizer(folder).encode("ab")
        [100, 101, 1]
    """
    from transformers import AutoTokenizer

    check_gguf_file(folder_or_hub(path), gguf_file)
    options = {} if gguf_file is None else {"gguf_file": gguf_file}
    with reading_pretrained(path, "a tokenizer"):
        found: object = AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, **options)
    return as_tokenizer("path", found)


def as_tokenizer(parameter: str, given: object) -> Tokenizer:
    """Return the object if it is a tokenizer.

    Raises:
        TypeError: If it is not a tokenizer.
    """
    if _is_tokenizer(given):
        return given
    raise TypeError(
        f"Parameter `{parameter}` should be a tokenizer of transformers. Found {type(given).__name__}. "
        "Load one with `lightning_abkd.data.load_tokenizer`."
    )


def optional_tokenizer(parameter: str, given: object | None) -> Tokenizer | None:
    """Return the object if it is a tokenizer, or None.

    Raises:
        TypeError: If it is neither.
    """
    return None if given is None else as_tokenizer(parameter, given)


def _is_tokenizer(given: object) -> TypeGuard[Tokenizer]:
    return all(hasattr(given, name) for name in ("encode", "pad_token_id", "eos_token_id"))


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Return the number of ids that stand for a token: 1 + the largest one, added tokens included.

    Embeddings are often padded to a rounder number. Logits from this id on have no meaning.

    Example:
        >>> vocabulary_size(byte_tokenizer())
        384
    """
    return 1 + max(tokenizer.get_vocab().values())


def check_same_tokens(student: Tokenizer, teacher: Tokenizer) -> None:
    """Raise ValueError unless every id stands for the same token, so that distributions over ids can be compared.

    Args:
        student: Tokenizer of the data.
        teacher: Tokenizer that the teacher was trained with.

    Raises:
        ValueError: If an id stands for different tokens, or for a token on one side only.

    Example:
        >>> check_same_tokens(byte_tokenizer(), byte_tokenizer())
    """
    ours = _token_by_id(student)
    theirs = _token_by_id(teacher)
    differing = sorted(id_ for id_ in ours.keys() | theirs.keys() if ours.get(id_) != theirs.get(id_))
    if differing:
        shown = (f"{id_}: {ours.get(id_, 'none')!r} and {theirs.get(id_, 'none')!r}" for id_ in differing[:_SHOWN])
        raise ValueError(
            "Parameter `teacher_tokenizer` should have the same token as `tokenizer` for every id. "
            f"Found {len(differing)} ids that differ, of the student and of the teacher: {'; '.join(shown)}"
            f"{' …' if len(differing) > _SHOWN else ''}. Use a teacher with the same tokenizer."
        )


def _token_by_id(tokenizer: Tokenizer) -> dict[int, str]:
    return {id_: token for token, id_ in tokenizer.get_vocab().items()}


def tokenizer_fingerprint(tokenizer: Tokenizer) -> str:
    """Compute a fingerprint (16 hex digits) of a tokenizer's vocabulary, the same in every process.

    Example:
        >>> tokenizer_fingerprint(byte_tokenizer())
        '23ad816e0a271fcb'
    """
    return digest(json.dumps(sorted(tokenizer.get_vocab().items())).encode())


def padding_id(tokenizer: Tokenizer) -> int:
    """Return the id to pad rows with, and log it if the tokenizer has none of its own."""
    if tokenizer.pad_token_id is not None:
        return tokenizer.pad_token_id
    # Padded positions are masked, so any id works.
    rank_zero_info("The tokenizer has no padding token: padding uses the end-of-text token and is masked.")
    return tokenizer.eos_token_id or 0
