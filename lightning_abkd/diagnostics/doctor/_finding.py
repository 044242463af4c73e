"""What the doctor found: one line of its table."""

from dataclasses import dataclass
from typing import Literal

State = Literal["green", "red", "not checked"]


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's table.

    Args:
        name: What was looked at, such as "teacher mode".
        state: "green", "red", or "not checked" where the check does not apply or could not be made.
        text: What was found, or why it was not checked.
        cure: What to do about a red line; empty for the others.

    Example:
        >>> finding = Finding("pad", "red", "Pad counted: 3 tokens.", "Set their labels to -100.")
        >>> finding.is_red, finding.cure
        (True, 'Set their labels to -100.')
    """

    name: str
    state: State
    text: str
    cure: str = ""

    @property
    def is_red(self) -> bool:
        """Whether something is wrong."""
        return self.state == "red"


def green(name: str, text: str) -> Finding:
    """Build the line of something that is well."""
    return Finding(name, "green", text)


def red(name: str, text: str, cure: str) -> Finding:
    """Build the line of something that is wrong, with its cure."""
    return Finding(name, "red", text, cure)


def not_checked(name: str, why: str) -> Finding:
    """Build the line of a check that does not apply or could not be made."""
    return Finding(name, "not checked", why)
