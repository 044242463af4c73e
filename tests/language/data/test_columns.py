from collections import Counter

import pytest

from lightning_abkd.language.data._columns import (
    INSTRUCTION,
    Row,
    check_columns,
    check_mapped,
    is_absent,
    renamed,
    shown,
)

NAN = float("nan")


def row(**values):
    return Row(values, "a.jsonl, record 2")


@pytest.mark.parametrize(("value", "absent"), [(None, True), (NAN, True), ("", False), (0, False), ([], False)])
def test_null_and_nan_are_absent(value, absent):
    assert is_absent(value) == absent
    assert row(a=value).has("a") != absent


def test_the_first_spelling_that_says_something_is_picked():
    assert row(prompt="x", instruction=None).pick(("instruction", "prompt")) == "prompt"
    assert row(prompt="x", instruction="").pick(("instruction", "prompt")) == "prompt"
    assert row(prompt=None, instruction="").pick(("instruction", "prompt")) == "instruction"
    assert row(prompt=NAN).pick(("instruction", "prompt")) is None


def test_spellings_that_differ_are_counted():
    given = row(instruction="a", prompt="b", question="a", context="")
    assert (given.pick(INSTRUCTION), given.notes) == ("instruction", Counter({"instruction taken, prompt left out": 1}))
    same = row(instruction="a", prompt="a", question="")
    assert (same.pick(INSTRUCTION), same.notes) == ("instruction", Counter())


def test_a_whole_number_is_its_digits_and_is_counted():
    given = row(a=-3)
    assert (given.text("a"), given.notes) == ("-3", Counter({"numbers read as digits": 1}))


def test_a_byte_order_mark_is_left_out_and_counted():
    given = row(a="\ufeffHi")
    assert (given.text("a"), given.notes) == ("Hi", Counter({"byte order marks left out": 1}))


@pytest.mark.parametrize("value", [["x"], {"text": "x"}, True, 0.5, b"x", None])
def test_what_is_no_text_is_named(value):
    with pytest.raises(ValueError, match="a.jsonl, record 2, column a should be text. Found "):
        row(a=value).text("a")


def test_half_a_character_is_named():
    with pytest.raises(ValueError, match=r"record 2, column a should be Unicode. Found half a character, U\+DC00"):
        row(a="x\udc00").text("a")


def test_long_values_are_cut_in_messages():
    assert shown(["a"]) == "list ['a']"
    assert shown("x" * 99) == f"str '{'x' * 59} …"


def test_mapped_columns_come_under_our_names():
    given = {"ask": "a", "gold": "b", "id": 1}
    assert renamed(given, {"instruction": "ask", "output": "gold"}) == {"id": 1, "instruction": "a", "output": "b"}


def test_a_mapped_column_is_not_read_under_its_own_name_too():
    given = {"input": "a", "output": "b"}
    assert renamed(given, {"instruction": "input"}) == {"instruction": "a", "output": "b"}
    assert renamed(given, {"instruction": "input", "input": "output"}) == {"instruction": "a", "input": "b"}


def test_a_mapping_counts_whatever_other_columns_there_are():
    given = {"messages": [], "prompt": "x", "question": "a", "response": "y", "gold": "b", "text": "z"}
    assert renamed(given, {"instruction": "question"}) == {"instruction": "a", "response": "y", "gold": "b"}
    assert renamed(given, {"output": "gold"})["output"] == "b"
    assert "response" not in renamed(given, {"output": "gold"})


def test_unknown_names_of_ours_are_named():
    check_columns({"instruction": "question"})
    check_columns(None)
    with pytest.raises(ValueError, match=r"`columns` should map instruction, .* Found `columns.reply`"):
        check_columns({"reply": "x"})


def test_a_column_that_the_file_lacks_is_named():
    check_mapped("a.csv", [{"a": 1}, {"b": 2}], {"instruction": "b"})
    with pytest.raises(ValueError, match="a.csv should have the column q that `columns.instruction` names. Found a, b"):
        check_mapped("a.csv", [{"a": 1}, {"b": 2}], {"instruction": "q"})
