import json
from itertools import groupby

import pytest
import torch

from lightning_abkd.data import IGNORE_INDEX, alpaca_prompt, byte_tokenizer
from tests.language.data._text import chat_tokenizer, conversation, read, read_whole, write
from tests.language.data._tokenizers import CHATML, LLAMA, MARKED, THINKING, byte_level, sentence_pieces

LONG = {"max_length": 400, "max_prompt_length": 300}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.jsonl"


def ids_of(tokenizer, messages, **options):
    return tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **options)["input_ids"]


def labelled(sample, tokenizer):
    """The texts of the runs of labels."""
    runs = groupby(sample.labels.tolist(), lambda label: label != IGNORE_INDEX)
    return [tokenizer.decode(list(ids)) for counted, ids in runs if counted]


def test_what_is_cut_and_dropped_is_counted(file):
    write(file, ("much too long", "x"), ("a", " "), ("a", "b" * 40), ("a", "b"))
    read = read_whole(file)
    assert [len(sample) for sample in read.samples] == [12, 3]
    assert (read.report.rows, read.report.samples) == (4, 2)
    assert read.report.counts == {
        "dropped: prompt over 6 tokens": 1,
        "dropped: empty response": 1,
        "cut to 12 tokens": 1,
    }


def test_nothing_is_counted_when_all_fits(file):
    write(file, ("a", "b"))
    assert not read_whole(file).report.counts


def test_first_reference_is_trained_on(file):
    write(file, ("a", ["b", "c", ""]))
    (sample,) = read(file)
    assert (sample.prompt, sample.references) == ("a", ("b", "c", ""))
    assert sample.input_ids.tolist() == byte_tokenizer().encode("ab")


def test_the_record_is_kept_beside_its_prompt(file):
    write(file, {"instruction": "a", "input": "b", "output": "c"})
    (sample,) = read(file, template=lambda instruction, context: f"{context}{instruction}")
    assert (sample.prompt, sample.record.instruction, sample.record.context) == ("ba", "a", "b")


def test_last_answer_of_a_conversation_is_counted(file):
    write(file, conversation("Hi", "Hello", "Go", "Bye"))
    (sample,) = read(file, chat_tokenizer(), max_length=99, max_prompt_length=90)
    assert sample.prompt == "<user>Hi\n<assistant>Hello\n<user>Go\n<assistant>"
    # The template writes a line break behind each turn, and no end-of-text token.
    assert sample.labels[sample.labels != IGNORE_INDEX].tolist() == byte_tokenizer().encode("Bye\n")[:-1]


def test_long_text_becomes_blocks_of_which_all_is_counted(file):
    write(file, {"text": "abcdefgh"}, {"text": "xy"})
    samples = read(file, max_length=4, max_prompt_length=1)
    ids = [*byte_tokenizer().encode("abcdefgh")[:8], *byte_tokenizer().encode("xy")]
    # The end of the first text would be a block of one token.
    assert [len(sample) for sample in samples] == [4, 4, 3]
    assert torch.cat([sample.labels for sample in samples]).tolist() == ids
    assert samples[1].references == ("abcdefgh",)


def test_file_without_a_fitting_sample_is_an_error(file):
    write(file, ("much too long", "x"))
    with pytest.raises(
        ValueError, match="should hold a sample that fits. Found none: dropped: prompt over 6 tokens: 1"
    ):
        read(file)


def test_a_conversation_is_what_the_template_writes(file):
    tokens, chat = byte_level(CHATML), conversation("Hi", " Hello", "Go", "Bye")
    write(file, chat)
    for turns in ("last", "every"):
        (sample,) = read(file, tokens, turns=turns, **LONG)
        assert sample.tokens.tolist() == ids_of(tokens, chat["messages"])
    assert sample.prompt_length == len(ids_of(tokens, chat["messages"][:3], add_generation_prompt=True))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHATML, ["Hello<|im_end|>\n", "Bye<|im_end|>\n"]),
        (MARKED, ["Hello<|im_end|>", "Bye<|im_end|>"]),
        (THINKING, ["Hello<|im_end|>\n", "Bye<|im_end|>\n"]),
    ],
)
def test_the_last_reply_or_every_one_has_labels(file, template, expected):
    tokens = byte_level(template)
    write(file, conversation("Hi", "Hello", "Go", "Bye", "Wait"))
    for turns, texts in (("last", expected[1:]), ("every", expected)):
        (sample,) = read(file, tokens, turns=turns, **LONG)
        assert labelled(sample, tokens) == texts


def test_marks_of_the_template_are_its_labels(file):
    tokens, chat = byte_level(MARKED), conversation("Hi", "Hello", "Go", "Bye")
    write(file, chat)
    (sample,) = read(file, tokens, turns="every", **LONG)
    marks = tokens.apply_chat_template(chat["messages"], return_dict=True, return_assistant_tokens_mask=True)
    assert (sample.labels != IGNORE_INDEX).tolist() == [bool(mark) for mark in marks["assistant_masks"]]


@pytest.mark.parametrize("template", [CHATML, MARKED])
def test_a_turn_of_weight_zero_has_no_labels(file, template):
    chat = conversation("Hi", "Hello", "Go", "Bye", "Wait", "No")["messages"]
    chat[1]["weight"], chat[5]["weight"] = 0, 0
    tokens = byte_level(template)
    write(file, {"messages": chat})
    read = read_whole(file, tokens, turns="every", **LONG)
    assert [text.strip() for text in labelled(read.samples[0], tokens)] == ["Bye<|im_end|>"]
    assert read.report.counts == {"messages after the last response left out": 2}


def test_spaces_of_the_template_are_kept(file):
    tokens, chat = sentence_pieces(LLAMA), conversation("Hi", "Hello", "Go", "Bye")
    write(file, chat)
    (sample,) = read(file, tokens, turns="every", **LONG)
    assert sample.tokens.tolist() == ids_of(tokens, chat["messages"])
    assert labelled(sample, tokens) == ["Hello </s>", "Bye </s>"]
    assert tokens.convert_ids_to_tokens(sample.labels[sample.labels >= 0].tolist())[0] == "▁"


def test_a_task_is_encoded_as_one_text_where_the_tokenizer_marks_its_start(file):
    write(file, ("Add.", "3"))
    tokens = sentence_pieces()
    (sample,) = read(file, tokens, None, **LONG)
    prompt = tokens.encode(alpaca_prompt("Add."), add_special_tokens=False)
    assert sample.tokens.tolist() == [*prompt, *tokens.convert_tokens_to_ids(["3", "</s>"])]
    assert sample.prompt_length == len(prompt)


def test_calls_and_tools_reach_the_template_and_are_trained_on(file):
    call = {"type": "function", "id": "1", "function": {"name": "weather", "arguments": {"city": "Ulm"}}}
    chat = [{"role": "user", "content": "How?"}, {"role": "assistant", "content": None, "tool_calls": [call]}]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"default": None}}}]
    tokens = byte_level(CHATML)
    write(file, {"messages": chat, "tools": tools})
    (sample,) = read(file, tokens, **LONG)
    assert sample.tokens.tolist() == ids_of(tokens, chat, tools=tools)
    assert sample.references == ("<call>weather({'city': 'Ulm'})<|im_end|>\n",)


def test_tools_that_the_template_leaves_out_are_counted(file):
    write(file, conversation("Hi", "Ho") | {"tools": [{"name": "weather"}]}, conversation("Hi", "Ho"))
    counts = read_whole(file, chat_tokenizer(), **LONG).report.counts
    assert counts["tools that the chat template does not write"] == 1
    assert counts["replies that end without the end-of-text token"] == 2


def test_a_sample_whose_labels_are_cut_off_is_counted(file):
    tokens = byte_level(MARKED.replace("{% generation %}", "{{ '.' * 20 }}{% generation %}"))
    write(file, conversation("Hi", "Hello"), {"text": "x" * 60})
    read = read_whole(file, tokens, max_length=40, max_prompt_length=39)
    assert read.report.counts["dropped: no token that counts"] == 1


def test_a_conversation_that_the_template_cannot_write_is_named(file):
    strict = "{{ raise_exception('Only users speak') if messages[1].role == 'system' }}" + CHATML
    write(
        file,
        conversation("Hi", "Ho"),
        {"messages": [{"role": r, "content": "a"} for r in ("user", "system", "assistant")]},
    )
    with pytest.raises(ValueError, match=r"a.jsonl, record 2: .*roles user, system, assistant; .*Only users speak"):
        read(file, byte_level(strict), **LONG)


def test_a_template_that_leaves_the_reply_out_is_named(file):
    write(file, conversation("Hi", "Ho"))
    with pytest.raises(ValueError, match="should write each reply as a part of its own. Found none for message 2"):
        read(file, byte_level("{{ messages | length }}"), **LONG)


def test_half_a_character_in_a_call_is_named(file):
    call = {"type": "function", "function": {"name": "a", "arguments": "\ud800"}}
    file.write_text(
        json.dumps({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call]}]})
    )
    with pytest.raises(ValueError, match="a.jsonl, record 1: .*half a character, U\\+D800"):
        read(file, byte_level(CHATML), **LONG)


def test_a_template_that_returns_no_text_is_named(file):
    write(file, ("a", "b"))
    with pytest.raises(TypeError, match="`template` should return text. Found list"):
        read(file, template=lambda instruction, context: [instruction])
