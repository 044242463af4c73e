import sys

import pytest

from lightning_abkd.cli._exits import interrupts


def code_of(function):
    with pytest.raises(SystemExit) as stop, interrupts():
        function()
    return stop.value.code


def interrupt():
    raise KeyboardInterrupt


def leave_as_lightning_does():
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


def test_an_interrupt_is_130_and_one_line(capsys):
    assert code_of(interrupt) == 130
    assert capsys.readouterr().err == "abkd: Interrupted.\n"


def test_lightnings_code_after_an_interrupt_is_130():
    assert code_of(leave_as_lightning_does) == 130


@pytest.mark.parametrize("code", [1, 2, 143])
def test_other_codes_stay(code):
    assert code_of(lambda: sys.exit(code)) == code
