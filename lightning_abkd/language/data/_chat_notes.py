"""What a chat template leaves out of a conversation."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from lightning_abkd.language.data._chat import Chat
from lightning_abkd.language.data._record import calls_tool, is_trained

_CALLS = ("tool_calls", "function_call", "tool_call_id")
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")


def left_out(chat: Chat, text: str) -> Iterator[str]:
    """Yield what the template leaves out or quotes, in words, once for each time it does.

    Args:
        chat: The conversation.
        text: What the template writes of it.
    """
    if _drops_tools(chat, text):
        yield "tools that the chat template does not write"
    if _drops(chat, text, _THOUGHTS):
        yield "reasoning that the chat template does not write"
    yield from _contents(chat, text)
    for arguments in _arguments(chat):
        if arguments not in text and json.dumps(arguments, ensure_ascii=False) in text:
            yield "arguments of calls that the chat template quotes; give objects"


def _contents(chat: Chat, text: str) -> Iterator[str]:
    for turn, message in enumerate(chat.messages):
        if str(message.get("content") or "").strip() in text:
            continue
        if not chat.shows(turn):
            yield "messages that the chat template does not write"
        elif is_trained(message):
            yield "replies of which the chat template writes a part"


def _drops_tools(chat: Chat, text: str) -> bool:
    return (bool(chat.tools) and _is_written(replace(chat, tools=()), text)) or _drops(chat, text, _CALLS)


def _drops(chat: Chat, text: str, names: tuple[str, ...]) -> bool:
    """Return whether there are such keys of messages, and the template writes the same without them."""
    bare = [{name: value for name, value in turn.items() if name not in names} for turn in chat.messages]
    return bare != [*chat.messages] and _is_written(replace(chat, messages=bare), text)


def _is_written(chat: Chat, text: str) -> bool:
    try:
        return chat.text == text
    except ValueError:
        return False


def _arguments(chat: Chat) -> Iterator[str]:
    """Yield the arguments of calls that are the text of JSON, as OpenAI keeps them."""
    for message in filter(calls_tool, chat.messages):
        calls = message.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            function = call.get("function", call) if isinstance(call, Mapping) else {}
            arguments = function.get("arguments") if isinstance(function, Mapping) else None
            if isinstance(arguments, str):
                yield arguments
