"""Layouts of rows: which columns a conversation, a task or a plain text is read from."""

from collections.abc import Mapping

from lightning_abkd.language.data._columns import (
    CONTEXT,
    INSTRUCTION,
    RESPONSE,
    SYSTEM,
    Row,
    column_names,
    is_absent,
    shown,
)
from lightning_abkd.language.data._record import Message, Record
from lightning_abkd.language.data._turns import are_turns, conversation, read_tools, read_turns, with_stored_turns

_CONVERSATION = ("messages", "conversations")
_UNWANTED = (False, "False", "false")


def read_row(row: Row) -> list[Record]:
    """Read a row: one record, several for a task with several instances, or none.

    Raises:
        ValueError: If the row has no layout that is known, or a column holds what it should not.
    """
    if row.values.get("label") in _UNWANTED and row.has("completion"):
        # TRL's unpaired preferences mark responses that are not wanted.
        row.notes["unwanted responses left out"] += 1
        return []
    if row.has("rejected") or row.has("non_preferred_output"):
        row.notes["chosen taken, rejected left out"] += 1
    if are_turns(row.values.get("instances")):
        return _instances(row)
    return [_record(with_stored_turns(row, INSTRUCTION, RESPONSE))]


def _record(row: Row) -> Record:
    column = row.pick(_CONVERSATION)
    if column is not None:
        return _conversation(row, column)
    if are_turns(row.values.get("preferred_output")):
        return _openai_preference(row)
    lead = row.pick(INSTRUCTION)
    text = row.pick(("text",))
    # A file of tables keeps what a row lacks as an empty text.
    if text is not None and (lead is None or (row.values[lead] == "" and row.values[text] != "")):
        return Record((row.text(text),))
    if lead is not None:
        return _task(row, lead)
    if row.has("chosen"):
        return _implicit_preference(row)
    raise _missing_column(row, INSTRUCTION, ", or a column messages or text")


def _conversation(row: Row, column: str) -> Record:
    turns = read_turns(row, row.values[column], column)
    chosen = row.values.get("chosen")
    # LLaMA-Factory keeps the two last turns to choose from apart.
    if turns[-1]["role"] != "assistant" and not is_absent(chosen):
        turns += _reply(row, [chosen] if isinstance(chosen, Mapping) else chosen, "chosen")
    return conversation(row, [*_system(row, turns), *turns])


def _system(row: Row, turns: list[Message]) -> list[Message]:
    """Return the message of the system that a column of its own holds."""
    text = row.optional_text(SYSTEM)
    return [{"role": "system", "content": text}] if text and turns[:1] and turns[0]["role"] != "system" else []


def _reply(row: Row, value: object, column: str) -> list[Message]:
    if are_turns(value):
        return read_turns(row, value, column)
    return [{"role": "assistant", "content": row.as_text(value, f"column {column}")}]


def _openai_preference(row: Row) -> Record:
    """Read OpenAI's pairs of preferences: input with messages and tools, preferred_output."""
    given = row.values.get("input")
    if not isinstance(given, Mapping):
        raise ValueError(f"{row.place}, column input should be an object with messages. Found {shown(given)}.")
    inner = Row(given, f"{row.place}, column input", row.notes)
    turns = read_turns(inner, given.get("messages"), "messages")
    return conversation(inner, turns + read_turns(row, row.values["preferred_output"], "preferred_output"))


def _task(row: Row, lead: str) -> Record:
    """Read a prompt and its response, each a text or turns."""
    # Of a pair of preferences the chosen response is taken, whatever other responses there are.
    column = row.pick(("chosen", *RESPONSE) if row.has("rejected") else RESPONSE)
    if column is None and not any(name in row.values for name in RESPONSE):
        raise _missing_column(row, RESPONSE)
    response = None if column is None else row.values[column]
    if are_turns(row.values[lead]) or are_turns(response):
        return _trl_conversation(row, lead, column or RESPONSE[0])
    task = Record(_texts(row, response, column or RESPONSE[0]), row.text(lead), row.optional_text(CONTEXT))
    return _with_history(row, task)


def _trl_conversation(row: Row, lead: str, column: str) -> Record:
    """Read prompt and completion of TRL where one of them or both are turns."""
    response = row.values.get(column)
    reply = _reply(row, "" if is_absent(response) else response, column)
    if reply[0]["role"] != "assistant":
        # The completion is the whole conversation, prompt included.
        return conversation(row, reply)
    prompt = row.values[lead] if are_turns(row.values[lead]) else row.text(lead)
    asked: list[Message] = [{"role": "user", "content": prompt}]
    turns = read_turns(row, prompt, lead) if are_turns(prompt) else asked
    return conversation(row, [*_system(row, turns), *turns, *reply])


def _with_history(row: Row, task: Record) -> Record:
    """Return a task as a conversation if the row has a system message, earlier turns or tools, as in LLaMA-Factory."""
    *user, _ = task.conversation
    earlier = _history(row)
    system = _system(row, [*earlier, *user])
    tools = read_tools(row)
    if not (earlier or system or tools):
        return task
    return Record(task.responses, messages=(*system, *earlier, *user), tools=tools)


def _history(row: Row) -> list[Message]:
    history = row.values.get("history")
    if is_absent(history) or history in ([], ""):
        return []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        raise ValueError(f"{row.place}, column history should be pairs of texts. Found {shown(history)}.")
    return [
        {"role": role, "content": row.as_text(text, "column history")}
        for pair in history
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _implicit_preference(row: Row) -> Record:
    """Read TRL's preferences whose prompt is what chosen and rejected begin with."""
    chosen = row.values["chosen"]
    if are_turns(chosen):
        return conversation(row, read_turns(row, chosen, "chosen"))
    if not row.has("rejected"):
        raise _missing_column(row, INSTRUCTION, ", or a column rejected beside chosen")
    text = row.text("chosen")
    other = row.text("rejected")
    shared = min(len(text), len(other))
    length = next((i for i in range(shared) if text[i] != other[i]), shared)
    # The space before the response belongs to it.
    prompt = text[:length].removesuffix(" ")
    return Record((text[len(prompt) :],), prompt)


def _instances(row: Row) -> list[Record]:
    """Read a task of Self-Instruct, an instruction with several inputs and outputs."""
    instances = row.values["instances"]
    records = []
    for number, instance in enumerate(instances if isinstance(instances, list) else [], 1):
        values = {**row.values, **instance}
        records.append(_record(Row(values, f"{row.place}, instance {number}", row.notes)))
    return records


def _texts(row: Row, value: object, column: str) -> tuple[str, ...]:
    if is_absent(value):
        return ("",)
    values = value if isinstance(value, list) else [value]
    return tuple("" if is_absent(text) else row.as_text(text, f"column {column}") for text in values) or ("",)


def _missing_column(row: Row, names: tuple[str, ...], alternative: str = "") -> ValueError:
    found = ", ".join(f"{name} (null)" if is_absent(value) else name for name, value in row.values.items())
    other = next((name for name in row.values if name not in column_names()), "NAME")
    return ValueError(
        f"{row.place} should have a column {' or '.join(names[:2])}{alternative}. Found {found}. "
        f"Name another with `columns`, as in `columns.{names[0]}: {other}`."
    )
