"""Small files of text, and a tokenizer that can chat."""

import json
from pathlib import Path

from transformers import ByT5Tokenizer

from lightning_abkd.data import byte_tokenizer

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
