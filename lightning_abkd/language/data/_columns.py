"""Columns of a row: which are there, and what text they hold."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lightning_abkd.language.data._decoding import BYTE_ORDER_MARK, check_unicode

INSTRUCTION = ("instruction", "prompt", "question")
CONTEXT = ("input", "context")
RESPONSE = ("output", "response", "completion", "answer", "chosen")
SYSTEM = ("system", "system_prompt")
# What `columns` may name, each with its other spellings.
GROUPS = (INSTRUCTION, CONTEXT, RESPONSE, SYSTEM, ("messages", "conversations"), ("text",), ("tools",), ("rejected",))
# Columns that decide on the layout of a row.
_LEADING = {*INSTRUCTION, "messages", "conversations", "text", "instances"}
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Args:
        values: Its columns.
        place: File and number, for errors.
        notes: How often something was read that a user should know of.
    """

    values: Mapping[str, object]
    place: str
    notes: Counter[str] = field(default_factory=Counter)

    def has(self, column: str) -> bool:
        """Return whether the row has a column that is not null."""
        return not is_absent(self.values.get(column))

    def pick(self, names: Sequence[str]) -> str | None:
        """Return the spelling of a column that the row has: the first that is not empty; count others that differ."""
        present = [name for name in names if self.has(name)]
        picked = next((name for name in present if self.values[name] != ""), present[0] if present else None)
        others = [name for name in present if self.values[name] not in ("", self.values[picked or name])]
        if others:
            self.notes[f"{picked} taken, {', '.join(others)} left out"] += 1
        return picked

    def text(self, column: str) -> str:
        """Return the text of a column.

        Raises:
            ValueError: If it holds something else.
        """
        return self.as_text(self.values[column], f"column {column}")

    def optional_text(self, names: Sequence[str]) -> str:
        """Return the text of a column by its spellings; empty if the row has none of them."""
        column = self.pick(names)
        return "" if column is None else self.text(column)

    def as_text(self, value: object, where: str) -> str:
        """Return a value of a column if it is text; a whole number is its digits.

        Raises:
            ValueError: If it is something else, or no Unicode.
        """
        if isinstance(value, int) and not isinstance(value, bool):
            self.notes["numbers read as digits"] += 1
            return json.dumps(value)
        if not isinstance(value, str):
            raise ValueError(f"{self.place}, {where} should be text. Found {shown(value)}.")
        check_unicode(value, f"{self.place}, {where}")
        if value.startswith(BYTE_ORDER_MARK):
            self.notes["byte order marks left out"] += 1
        return value.removeprefix(BYTE_ORDER_MARK)


def is_absent(value: object) -> bool:
    """Return whether a value stands for a missing one: null, or the NaN of pandas."""
    return value is None or (isinstance(value, float) and value != value)


def shown(value: object) -> str:
    """Return a value for an error message, by its type and its start."""
    text = repr(value)
    return f"{type(value).__name__} {text[:_LONGEST_SHOWN]}{' …' if len(text) > _LONGEST_SHOWN else ''}"


def column_names() -> list[str]:
    """Return the names that `columns` may map."""
    return [name for group in GROUPS for name in group]


def check_columns(columns: Mapping[str, str] | None) -> None:
    """Raise ValueError unless `columns` maps names of ours.

    Raises:
        ValueError: If a name is unknown.
    """
    for name in columns or {}:
        if name not in column_names():
            raise ValueError(
                f"Parameter `columns` should map {', '.join(column_names())} to columns of the files. "
                f"Found `columns.{name}`."
            )


def renamed(row: Mapping[str, object], columns: Mapping[str, str]) -> dict[str, object]:
    """Return a row with its columns under our names; columns that would be read in their place are left out.

    A column that is mapped is no longer read under its own name.
    """
    hidden = {name for group in GROUPS if columns.keys() & set(group) for name in group} | {*columns.values()}
    if columns.keys() & _LEADING:
        hidden |= _LEADING
    kept = {name: value for name, value in row.items() if name not in hidden}
    return kept | {ours: row.get(theirs) for ours, theirs in columns.items()}


def check_mapped(path: object, rows: Sequence[object], columns: Mapping[str, str]) -> None:
    """Raise ValueError unless every mapped column is in the file.

    Raises:
        ValueError: If no row has the column.
    """
    found = dict.fromkeys(_names(rows))
    for ours, theirs in columns.items():
        if theirs not in found:
            raise ValueError(
                f"{path} should have the column {theirs} that `columns.{ours}` names. Found {', '.join(found)}."
            )


def _names(rows: Sequence[object]) -> Iterator[str]:
    for row in rows:
        if isinstance(row, Mapping):
            yield from row
