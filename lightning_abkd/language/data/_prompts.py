"""Prompts: the instruction or conversation of a record as text."""

from collections.abc import Callable
from typing import Literal

from lightning_abkd.language.data._chat import Chat
from lightning_abkd.language.data._record import Record
from lightning_abkd.language.data._tokenizers import Tokenizer

# The word comes first: jsonargparse writes a value by the first type, and "chat" as a function would be unreadable.
Template = Literal["chat"] | Callable[[str, str], str] | None

_ALPACA = (
    "Below is an instruction that describes a task{context}. "
    "Write a response that appropriately completes the request.\n\n"
)


def alpaca_prompt(instruction: str, context: str = "") -> str:
    """Write the prompt of Alpaca (Taori et al. 2023), which ABKD's language experiments use.

    Args:
        instruction: The task.
        context: What the task is about; may be empty.

    Returns:
        Text that ends where the response begins.

    Example:
        >>> alpaca_prompt("Say hello.").splitlines()[-4:]
        ['### Instruction:', 'Say hello.', '', '### Response:']
    """
    head = _ALPACA.format(context=", paired with an input that provides further context" if context else "")
    middle = f"### Input:\n{context}\n\n" if context else ""
    return f"{head}### Instruction:\n{instruction}\n\n{middle}### Response:\n"


def prompt_of(record: Record, template: Template, tokenizer: Tokenizer) -> str:
    """Write a record's prompt.

    Args:
        record: The record.
        template: Function of instruction and context, None for `alpaca_prompt`, or "chat" for the tokenizer's chat
            template, where instruction and context are one message of the user. Conversations always take "chat".
        tokenizer: Tokenizer with the chat template.

    Returns:
        Text that ends where the response begins; empty for plain text.

    Raises:
        ValueError: If the chat template is needed and the tokenizer has none.
    """
    if record.is_text:
        return ""
    if not takes_chat(record, template):
        return task_prompt(record, template)
    return chat_of(record, tokenizer).prompt


def takes_chat(record: Record, template: Template) -> bool:
    """Return whether the tokenizer's chat template writes a record."""
    return bool(record.messages) or (template == "chat" and not record.is_text)


def task_prompt(record: Record, template: Template) -> str:
    """Write the prompt of an instruction by a function.

    Raises:
        TypeError: If the function returns something else than text.
    """
    write = alpaca_prompt if template is None or template == "chat" else template
    prompt: object = write(record.instruction or "", record.context)
    if not isinstance(prompt, str):
        raise TypeError(f"Parameter `template` should return text. Found {type(prompt).__name__}.")
    return prompt


def chat_of(record: Record, tokenizer: Tokenizer) -> Chat:
    """Return a record as a conversation that the tokenizer's chat template writes.

    Raises:
        ValueError: If the tokenizer has none.
    """
    _check_chat_template(tokenizer)
    return Chat(tokenizer, record.conversation, record.tools, record.options)


def check_template(template: Template, tokenizer: Tokenizer) -> None:
    """Raise ValueError unless a template can be used with a tokenizer.

    Raises:
        ValueError: If the template is neither function, "chat" nor None, or the tokenizer lacks the chat template.
    """
    if template == "chat":
        _check_chat_template(tokenizer)
    elif template is not None and not callable(template):
        raise ValueError(f"Parameter `template` should be a function, 'chat' or None. Found `template = {template!r}`.")


def _check_chat_template(tokenizer: Tokenizer) -> None:
    if getattr(tokenizer, "chat_template", None) is None:
        raise ValueError(
            "Parameter `tokenizer` should have a chat template, which conversations and `template = 'chat'` need. "
            f"Found none in {type(tokenizer).__name__}. Take the tokenizer of a chat model, or set its `chat_template`."
        )
