"""Errors that the library raises on purpose, as lines of the doctor's table."""

import re

import torch

from lightning_abkd.diagnostics.doctor._cost import out_of_memory
from lightning_abkd.diagnostics.doctor._finding import Finding, red
from lightning_abkd.diagnostics.doctor._student import frozen_by_its_code

# By a part of the message: the line's name, and what is wrong in a few words.
_KNOWN = (
    ("Teacher and student should be two networks", "two networks", "Teacher = student: "),
    ("teacher_tokenizer", "tokenizers, vocabularies", "Other tokenizer: "),
    ("number of ids of each network", "tokenizers, vocabularies", "Other tokenizer: "),
    ("Token ids should lie between", "tokenizers, vocabularies", "Other tokenizer: "),
    ("Labels should lie between", "label range", ""),
    ("same number of classes", "label range", ""),
    ("logits contain NaN", "numbers", ""),
    ("loss is NaN", "numbers", ""),
)
_FALLBACK = "Mend what the sentence names; `abkd fit` stops there, too."


def from_error(error: BaseException, place: str, message: str = "") -> Finding:
    """Return the red line of an error.

    Args:
        error: The error.
        place: Name of the line where the message tells no better one: what was done at the time.
        message: What to say of it; the error's own text if empty.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return out_of_memory(error)
    text = " ".join((message or described(error)).split())
    if "does not require grad" in text:
        return frozen_by_its_code()
    name, lead = next(((name, lead) for part, name, lead in _KNOWN if part in text), (place, ""))
    found, cure = _parts(text)
    return red(name, f"{lead}{found}", cure)


def described(error: BaseException) -> str:
    """Return what an error says, with its type where the text alone says little."""
    is_sentence = isinstance(error, ValueError | TypeError | OSError | FloatingPointError) and str(error)
    return str(error) if is_sentence else f"{type(error).__name__}: {error}"


def _parts(text: str) -> tuple[str, str]:
    """Split a message into what was found and what to do, which follows it."""
    match = re.match(r"(.*\bFound .*?[.!?])\s+(?=[A-Z`])(.*)", text)
    return (match[1], match[2]) if match else (text, _FALLBACK)
