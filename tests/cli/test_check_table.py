import sys

from lightning_abkd.cli._check_table import table, write_table
from lightning_abkd.diagnostics import Finding

FOUND = [
    Finding("teacher bytes in a checkpoint", "green", "0 of 3 MB"),
    Finding("pad", "red", "Pad counted: 3 of 10 counted labels are padding, " + "and more " * 8, "Mask it."),
    Finding("prompt", "not checked", "no text"),
]


def test_lines_of_a_file_are_whole_and_plain():
    lines = table(FOUND, None, has_colours=False)
    assert lines[0] == "ok   teacher bytes in a checkpoint     0 of 3 MB"
    assert lines[1].startswith("RED  pad  ")
    assert lines[2].strip() == "Cure: Mask it."
    assert lines[3].endswith("not checked: no text")
    assert lines[-1] == "1 of 3 lines is red."


def test_a_terminal_of_80_columns_is_not_overrun():
    assert max(map(len, table(FOUND, 80, has_colours=False))) <= 80


def test_colours_are_green_and_red():
    lines = table(FOUND, 80, has_colours=True)
    assert lines[0].startswith("\x1b[32mok")
    assert any(line.startswith("\x1b[1;31mRED") for line in lines)


def test_two_red_lines_are_counted_and_none_is_well():
    assert table([FOUND[1]] * 2, None, has_colours=False)[-1] == "2 of 2 lines are red."
    assert table(FOUND[:1], None, has_colours=False)[-1] == "All is well: none of 1 lines is red."


def test_no_colour_is_respected(monkeypatch, capsys):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    write_table(FOUND)
    assert "\x1b" not in capsys.readouterr().out
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")
    write_table(FOUND)
    assert "\x1b[32m" in capsys.readouterr().out
