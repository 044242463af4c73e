"""Small files of text, and a tokenizer that can chat."""

import json
from pathlib import Path

from transformers import ByT5Tokenizer

from lightning_abkd.data import TextSample, Tokenizer, byte_tokenizer
from lightning_abkd.language.data._options import Lengths, Turns
from lightning_abkd.language.data._prompts import Template
from lightning_abkd.language.data._sample_writer import SampleFile, SampleWriter, read_samples

CHAT = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def chat_tokenizer() -> ByT5Tokenizer:
    tokens = byte_tokenizer()
    assert isinstance(tokens, ByT5Tokenizer)
    tokens.chat_template = CHAT
    return tokens


def conversation(*contents: str) -> dict[str, list[dict[str, str]]]:
    """Turns of the user and the assistant, one after the other."""
    return {"messages": [{"role": ("user", "assistant")[i % 2], "content": x} for i, x in enumerate(contents)]}


def write(path: Path, *records: object) -> str:
    """Write records, a pair being an instruction and its output."""
    rows = [{"instruction": r[0], "output": r[1]} if isinstance(r, tuple) else r for r in records]
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


def instruction_only(instruction: str, context: str) -> str:
    return instruction


def read_whole(
    path: str | Path,
    tokenizer: Tokenizer | None = None,
    template: Template = instruction_only,
    max_length: int = 12,
    max_prompt_length: int = 6,
    turns: Turns = "last",
) -> SampleFile:
    lengths = Lengths(max_length, max_prompt_length)
    return read_samples(path, SampleWriter(tokenizer or byte_tokenizer(), template, lengths, turns))


def read(
    path: str | Path,
    tokenizer: Tokenizer | None = None,
    template: Template = instruction_only,
    max_length: int = 12,
    max_prompt_length: int = 6,
    turns: Turns = "last",
) -> list[TextSample]:
    return read_whole(path, tokenizer, template, max_length, max_prompt_length, turns).samples
