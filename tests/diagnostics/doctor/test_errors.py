import pytest

from lightning_abkd.diagnostics.doctor._errors import described, from_error


def test_found_and_cure_are_told_apart():
    found = from_error(ValueError("Parameter `x` should be 1. Found `x = 2`. Set it to 1."), "setup")
    assert (found.name, found.text, found.cure) == (
        "setup",
        "Parameter `x` should be 1. Found `x = 2`.",
        "Set it to 1.",
    )


@pytest.mark.parametrize(
    ("text", "lead"),
    [
        ("Teacher and student should be two networks. Found one object.", "Teacher = student: "),
        ("Parameter `teacher_tokenizer` should have the same token.", "Other tokenizer: "),
        ("element 0 of tensors does not require grad", "Frozen student: "),
    ],
)
def test_known_errors_are_named_by_their_fault(text, lead):
    assert from_error(RuntimeError(text), "setup", text).text.startswith(lead)


def test_errors_without_a_sentence_have_their_type():
    assert described(KeyError("x")) == "KeyError: 'x'"
    assert from_error(MemoryError("no room"), "setup").name == "peak memory (estimate)"
