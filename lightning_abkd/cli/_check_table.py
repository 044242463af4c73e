"""How the doctor's findings look: a table on a terminal, one line each in a file."""

import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest

from lightning_abkd.diagnostics import Finding

_MARKS = {"green": "ok", "red": "RED", "not checked": "-"}
_COLOURS = {"green": "\x1b[32m", "red": "\x1b[1;31m", "not checked": "\x1b[2m"}
_PLAIN = "\x1b[0m"
_COLUMNS = 80
_WIDEST = 100
# Width of the marks, and of the names on a terminal and elsewhere.
_MARK = 5
_NAME = 21
_LONGEST_NAME = 34


def write_table(findings: Sequence[Finding]) -> None:
    """Write findings to standard output: wrapped and in colours on a terminal, else one line each."""
    is_terminal = sys.stdout.isatty()
    width = min(shutil.get_terminal_size((_COLUMNS, 24)).columns, _WIDEST) if is_terminal else None
    has_colours = is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    sys.stdout.write("\n".join(table(findings, width, has_colours)) + "\n")


def table(findings: Sequence[Finding], width: int | None, has_colours: bool) -> list[str]:
    """Lay out findings, each red one with its cure, and say at the end whether all is well.

    Args:
        findings: The findings.
        width: Columns of the terminal; None wraps nothing.
        has_colours: Whether marks are green and red.

    Example:
        >>> table([Finding("pad", "green", "none counts")], 80, has_colours=False)
        ['ok   pad                  none counts', '', 'All is well: none of 1 lines is red.']
    """
    lines = [line for finding in findings for line in _lines(finding, width, has_colours)]
    reds = sum(finding.is_red for finding in findings)
    said = f"{reds} of {len(findings)} lines are red." if reds > 1 else f"1 of {len(findings)} lines is red."
    if not reds:
        said = f"All is well: none of {len(findings)} lines is red."
    return [*lines, "", _coloured(said, "red" if reds else "green", has_colours)]


def _lines(finding: Finding, width: int | None, has_colours: bool) -> Iterator[str]:
    text = f"not checked: {finding.text}" if finding.state == "not checked" else finding.text
    mark = _MARKS[finding.state]
    yield from _row(mark, finding, finding.name, text, width, has_colours)
    if finding.cure:
        yield from _row("", finding, "", f"Cure: {finding.cure}", width, has_colours)


def _row(mark: str, finding: Finding, name: str, text: str, width: int | None, has_colours: bool) -> Iterator[str]:
    """Yield the lines of one row, its name and its text wrapped in their columns."""
    if width is None:
        yield f"{mark:<{_MARK}}{name:<{_LONGEST_NAME}}{text}"
        return
    names = textwrap.wrap(name, _NAME - 1)
    texts = textwrap.wrap(text, max(20, width - _MARK - _NAME), break_on_hyphens=False)
    for number, (left, right) in enumerate(zip_longest(names, texts, fillvalue="")):
        head = _coloured(f"{'' if number else mark:<{_MARK}}", finding.state, has_colours and bool(mark) and not number)
        yield f"{head}{left:<{_NAME}}{right}".rstrip()


def _coloured(text: str, state: str, has_colours: bool) -> str:
    return f"{_COLOURS[state]}{text}{_PLAIN}" if has_colours else text
