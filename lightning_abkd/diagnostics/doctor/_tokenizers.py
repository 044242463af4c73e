"""Whether the data, the teacher and the student mean the same tokens by the same ids."""

from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from lightning_abkd.diagnostics.doctor._finding import Finding, green, not_checked, red

if TYPE_CHECKING:
    from lightning_abkd.data import Tokenizer

_NAME = "tokenizers, vocabularies"
_CURE = "Take a teacher with the student's tokenizer, and name that as `data.tokenizer`."
# Share of the ids that may have other tokens: reserved ones are named as people like.
_FEW = 0.01
_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tokenizer_config.json")


def tokenizers(data: object, student: nn.Module, teacher: nn.Module | None) -> Finding:
    """Compare the tokenizer of the data with those of the networks, or with the sizes of their embeddings."""
    tokenizer: Tokenizer | None = getattr(data, "tokenizer", None)
    if tokenizer is None or not hasattr(tokenizer, "get_vocab"):
        return not_checked(_NAME, "the data module has no tokenizer")
    networks = {"student": student} | ({} if teacher is None else {"teacher": teacher})
    differing = [_differing(tokenizer, network) for network in networks.values()]
    for name, found in zip(networks, differing, strict=True):
        if found:
            return red(_NAME, f"Other tokenizer: that of the {name} {found}.", _CURE)
    is_compared = differing[-1] is not None or getattr(data, "teacher_tokenizer", None) is not None
    return _by_size(tokenizer, {name: _rows(network) for name, network in networks.items()}, is_compared)


def _differing(tokenizer: "Tokenizer", network: nn.Module) -> str | None:
    """Say how the tokenizer in a network's own folder differs, "" if it hardly does; None where there is none.

    A padding token that one side has added, or renamed, is no other tokenizer.
    """
    from lightning_abkd.data import load_tokenizer

    path: object = getattr(getattr(network, "config", None), "_name_or_path", "")
    if not isinstance(path, str) or not path or not any(Path(path, name).is_file() for name in _FILES):
        return None
    ours, theirs = (
        {place: token for token, place in each.get_vocab().items()} for each in (tokenizer, load_tokenizer(path))
    )
    both = ours.keys() & theirs.keys()
    others = sorted(place for place in both if ours[place] != theirs[place])
    if len(others) <= _FEW * max(len(both), 1):
        return ""
    first = others[0]
    return f"has other tokens for {len(others):,} ids, such as {first}: {theirs[first]!r} instead of {ours[first]!r}"


def _tokens(tokenizer: "Tokenizer") -> dict[int, str]:
    return {place: token for token, place in tokenizer.get_vocab().items()}


def _by_size(tokenizer: "Tokenizer", sizes: dict[str, int | None], is_compared: bool) -> Finding:
    from lightning_abkd.data import vocabulary_size

    vocabulary = vocabulary_size(tokenizer)
    known = {name: size for name, size in sizes.items() if size is not None}
    if small := [name for name, size in known.items() if _lacks(tokenizer, size)]:
        what = f"Other tokenizer: that of the data has {vocabulary:,} ids, and the {small[0]} {known[small[0]]:,}."
        return red(_NAME, what, _CURE)
    said = ", ".join([f"data {vocabulary:,}", *(f"{name} {size:,}" for name, size in known.items())])
    if is_compared:
        return green(_NAME, f"the same tokens ({said})")
    advice = "; `data.teacher_tokenizer` would compare the tokens" if "teacher" in sizes else ""
    return green(_NAME, f"the sizes fit ({said}){advice}")


def _lacks(tokenizer: "Tokenizer", size: int) -> bool:
    """Return True if a network of so many ids lacks one that is more than an added token, such as that of padding."""
    special = set(getattr(tokenizer, "all_special_ids", ()))
    return any(place >= size and place not in special for place in tokenizer.get_vocab().values())


def _rows(network: nn.Module) -> int | None:
    """Return the number of token ids that a network has, None where it does not say."""
    config = getattr(network, "config", None)
    text = getattr(config, "get_text_config", lambda: config)()
    size = getattr(text, "vocab_size", None)
    return size if isinstance(size, int) else None
