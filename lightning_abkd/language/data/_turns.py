"""Turns of conversations, as OpenAI, ShareGPT and TRL write them."""

import json
import re
from collections.abc import Mapping, Sequence

from lightning_abkd.language.data._columns import Row, is_absent, shown
from lightning_abkd.language.data._record import Message, Record, calls_tool, is_trained

# Roles of ShareGPT.
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_call": "assistant",
}
# How a table keeps a list of turns whose writer took its Python source.
_PYTHON_TURNS = re.compile(r"\s*\[\s*\{'(role|content|from|value)': ")
# Columns of what is no text; leaving them out would change what is asked.
_MEDIA = ("images", "image", "videos", "video", "audios", "audio")


def are_turns(value: object) -> bool:
    """Return whether a value is a list of turns, and not of texts."""
    return isinstance(value, list) and bool(value) and all(isinstance(turn, Mapping) for turn in value)


def read_turns(row: Row, value: object, column: str) -> list[Message]:
    """Read a list of turns, in the layout of OpenAI (role and content) or of ShareGPT (from and value).

    A content that is a list of parts of text becomes one text. Every other key of a turn is kept.

    Raises:
        ValueError: If the value is no such list, or a content is no text.
    """
    turns = _parsed(value)
    if not isinstance(turns, list) or not turns or not all(map(_is_turn, turns)):
        raise ValueError(
            f"{row.place} should have `{column}` that each have role and content. Found {shown_turns(value)}."
        )
    return [_turn(row, turn, f"column {column}, message {number}") for number, turn in enumerate(turns, 1)]


def shown_turns(value: object) -> str:
    """Return a value for an error message; a text as it is."""
    return repr(value) if isinstance(value, str) and len(value) < 40 else shown(value)


def conversation(row: Row, turns: Sequence[Message]) -> Record:
    """Build the record of a conversation, whose response is the last turn of the assistant.

    Raises:
        ValueError: If there is no turn of the assistant after another one, or something that is no text.
    """
    for name in _MEDIA:
        if row.has(name) and row.values[name] not in ([], ""):
            raise ValueError(f"{row.place} should hold text alone. Found {name}: {shown(row.values[name])}.")
    last = max((i for i, turn in enumerate(turns) if is_trained(turn)), default=0)
    if last == 0:
        roles = ", ".join(map(_role, turns))
        raise ValueError(
            f"{row.place} should have a message of the assistant after another one. Found the roles {roles}."
        )
    if left := len(turns) - 1 - last:
        row.notes["messages after the last response left out"] += left
    reply = turns[last]
    content = reply.get("content")
    return Record(
        (content if isinstance(content, str) else "",),
        messages=tuple(turns[:last]),
        tools=read_tools(row),
        reply=reply if reply.keys() - {"role", "content"} else None,
        options=_options(row),
    )


def _options(row: Row) -> Mapping[str, object]:
    options = _parsed(row.values["chat_template_kwargs"]) if row.has("chat_template_kwargs") else {}
    if not isinstance(options, Mapping):
        raise ValueError(f"{row.place}, column chat_template_kwargs should be an object. Found {shown(options)}.")
    return options


def read_tools(row: Row) -> tuple[Mapping[str, object], ...]:
    """Read the descriptions of tools, a list or its JSON.

    Raises:
        ValueError: If the column holds something else.
    """
    if row.has("functions") and row.values["functions"]:
        raise ValueError(f"{row.place} should list its tools in the column tools. Found the older column functions.")
    if not row.has("tools") or row.values["tools"] == "":
        return ()
    tools = _parsed(row.values["tools"])
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise ValueError(
            f"{row.place}, column tools should be a list of objects or its JSON. Found {shown(row.values['tools'])}."
        )
    return tuple(tools)


def with_stored_turns(row: Row, prompts: Sequence[str], responses: Sequence[str]) -> Row:
    """Return a row with the turns that a table keeps as JSON: prompts, chosen responses, and all responses to turns.

    Raises:
        ValueError: If such a text is the Python source of turns, as `Dataset.to_csv` and `DataFrame.to_csv` write it.
    """
    values = {**row.values, **_stored_turns(row, (*prompts, "chosen"))}
    if any(are_turns(values.get(name)) for name in prompts):
        values |= _stored_turns(row, responses)
    return Row(values, row.place, row.notes)


def _stored_turns(row: Row, columns: Sequence[str]) -> dict[str, object]:
    read: dict[str, object] = {}
    for column in columns:
        value = row.values.get(column)
        if isinstance(value, str) and _PYTHON_TURNS.match(value):
            raise ValueError(
                f"{row.place}, column {column} should be text, or turns as JSON. Found the Python source of turns, "
                f"{shown(value)}. Save the file as .jsonl or .parquet, which keep lists."
            )
        turns = _parsed(value)
        if are_turns(turns) and isinstance(turns, list) and all(map(_is_turn, turns)):
            read[column] = turns
    return read


def _parsed(value: object) -> object:
    """Return what a text holds as JSON, which formats without lists keep lists in."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        content: object = json.loads(value)
    except ValueError:
        return value
    return content


def _is_turn(turn: object) -> bool:
    if not isinstance(turn, Mapping):
        return False
    # A call needs no content.
    return ("role" in turn and ("content" in turn or calls_tool(turn))) or {"from", "value"} <= turn.keys()


def _role(turn: Message) -> str:
    role = turn["role"]
    return f"{role} of weight 0" if turn.get("weight") == 0 else f"{role}"


def _turn(row: Row, turn: Message, where: str) -> Message:
    if "role" not in turn:
        return _sharegpt_turn(row, turn, where)
    kept = {name: value for name, value in turn.items() if not is_absent(value)}
    kept["role"] = row.as_text(turn["role"], f"{where}, role")
    content = turn.get("content")
    if not is_absent(content):
        return kept | {"content": _content(row, content, where)}
    if kept["role"] != "assistant":
        raise ValueError(f"{row.place}, {where}, content should be text. Found {shown(content)}.")
    return kept if calls_tool(turn) else kept | {"content": ""}


def _content(row: Row, content: object, where: str) -> str:
    if not isinstance(content, list):
        return row.as_text(content, f"{where}, content")
    texts = []
    for part in content:
        if not isinstance(part, Mapping) or part.get("type", "text") != "text" or "text" not in part:
            raise ValueError(f"{row.place}, {where}, content should be text or parts of text. Found {shown(part)}.")
        texts.append(row.as_text(part["text"], f"{where}, content, text"))
    return "".join(texts)


def _sharegpt_turn(row: Row, turn: Message, where: str) -> Message:
    speaker = turn["from"]
    if not isinstance(speaker, str) or speaker not in _ROLES:
        raise ValueError(f"{row.place}, {where}, from should be one of {', '.join(_ROLES)}. Found {shown(speaker)}.")
    others = {name: value for name, value in turn.items() if name not in ("from", "value") and not is_absent(value)}
    role = _ROLES[speaker]
    if speaker == "function_call":
        return {"role": role, "content": "", "tool_calls": _calls(row, turn["value"], f"{where}, value"), **others}
    value = turn["value"]
    text = "" if is_absent(value) and role == "assistant" else row.as_text(value, f"{where}, value")
    return {"role": role, "content": text, **others}


def _calls(row: Row, value: object, where: str) -> list[dict[str, object]]:
    """Read the calls of tools of a ShareGPT turn: the JSON of one or several objects of name and arguments."""
    content = _parsed(value)
    calls: list[object] = content if isinstance(content, list) else [content]
    read = [dict(call) for call in calls if isinstance(call, Mapping) and {"name", "arguments"} <= call.keys()]
    if not read or len(read) < len(calls):
        raise ValueError(
            f"{row.place}, {where} should be the JSON of a call, name and arguments. Found {shown(value)}."
        )
    return [{"type": "function", "function": call} for call in read]
