import json
from collections import Counter

import pytest

from lightning_abkd.language.data._columns import Row
from lightning_abkd.language.data._turns import are_turns, conversation, read_tools, read_turns

CALL = {"type": "function", "id": "1", "function": {"name": "weather", "arguments": "{}"}}
HI = {"role": "user", "content": "Hi"}
HO = {"role": "assistant", "content": "Ho"}


def row(**values):
    return Row(values, "a.jsonl, record 1")


def turns(*given):
    return read_turns(row(), list(given), "messages")


def test_turns_are_told_from_texts():
    assert are_turns([HI])
    assert not any(map(are_turns, (["Hi"], [], "Hi", None, {"role": "user"})))


def test_every_key_of_a_turn_is_kept_and_null_ones_are_absent():
    given = {"role": "tool", "content": "sun", "name": "weather", "tool_call_id": "1", "refusal": None}
    assert turns(HI | {"tool_calls": None}, given) == [HI, {k: v for k, v in given.items() if v is not None}]


def test_parts_of_text_are_one_text():
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": " there", "image_url": None}]
    assert turns(HI | {"content": parts}) == [HI | {"content": "Hi there"}]


def test_a_call_needs_no_content():
    given = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    without = {"role": "assistant", "tool_calls": [CALL]}
    assert turns(given, without) == [without, without]


def test_a_reply_without_content_is_empty():
    assert turns(HO | {"content": None}) == [HO | {"content": ""}]


def test_turns_of_sharegpt_are_those_of_openai():
    given = [("system", "Be."), ("human", "Hi"), ("gpt", "Ho"), ("observation", "sun"), ("chatgpt", None)]
    found = turns(*({"from": name, "value": value, "weight": None} for name, value in given))
    assert [turn["role"] for turn in found] == ["system", "user", "assistant", "tool", "assistant"]
    assert [turn["content"] for turn in found] == ["Be.", "Hi", "Ho", "sun", ""]


def test_calls_of_sharegpt_are_calls():
    value = json.dumps({"name": "weather", "arguments": {"city": "Ulm"}})
    (turn,) = turns({"from": "function_call", "value": value})
    assert turn["tool_calls"] == [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Ulm"}}}]


def test_a_list_may_be_kept_as_its_json():
    assert read_turns(row(), json.dumps([HI, HO]), "messages") == [HI, HO]
    assert read_tools(row(tools=json.dumps([CALL]))) == (CALL,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("a", "should have `messages` that each have role and content. Found 'a'"),
        ([], r"Found list \[\]"),
        ([HI, "Ho"], "each have role and content"),
        ([HI, {"role": "assistant"}], "each have role and content"),
        ([HI | {"content": None}], "message 1, content should be text. Found NoneType None"),
        ([HI | {"content": {"text": "Hi"}}], "column messages, message 1, content should be text. Found dict"),
        ([HI | {"content": ["Hi"]}], "message 1, content should be text or parts of text. Found str 'Hi'"),
        ([HI | {"content": [{"type": "image_url", "image_url": "x"}]}], "parts of text. Found dict .*image_url"),
        ([HI | {"content": [{"type": "text", "text": ["Hi"]}]}], "message 1, content, text should be text. Found list"),
        ([HI | {"role": 3.5}], "message 1, role should be text"),
        ([{"from": "me", "value": "Hi"}], "message 1, from should be one of human, .* Found str 'me'"),
        ([{"from": "human", "value": None}], "message 1, value should be text. Found NoneType"),
        (
            [{"from": "function_call", "value": "go"}],
            "should be the JSON of a call, name and arguments. Found str 'go'",
        ),
    ],
)
def test_what_is_no_turn_is_named(given, message):
    with pytest.raises(ValueError, match=f"^a.jsonl, record 1.* {message}|^a.jsonl, record 1 {message}"):
        read_turns(row(), given, "messages")


def test_the_last_turn_of_the_assistant_responds():
    given = row()
    found = conversation(given, [HI, HO, HI, HO | {"name": "Bo"}, HI])
    assert (found.responses, found.messages, found.reply) == (("Ho",), (HI, HO, HI), HO | {"name": "Bo"})
    assert given.notes == Counter({"messages after the last response left out": 1})


def test_a_turn_of_weight_zero_does_not_respond():
    assert conversation(row(), [HI, HO, HI, HO | {"content": "No", "weight": 0}]).responses == ("Ho",)
    with pytest.raises(ValueError, match="Found the roles user, assistant of weight 0"):
        conversation(row(), [HI, HO | {"weight": 0}])


@pytest.mark.parametrize("value", ["Hi", [1], {"a": 1}])
def test_tools_that_are_no_list_of_objects_are_named(value):
    with pytest.raises(ValueError, match="column tools should be a list of objects or its JSON. Found "):
        read_tools(row(tools=value))


def test_empty_columns_of_tools_and_images_are_absent():
    assert conversation(row(tools=None, functions=[], images=[], image=""), [HI, HO]).tools == ()


@pytest.mark.parametrize(("name", "value"), [("images", ["a.png"]), ("audios", ["a.wav"]), ("functions", [CALL])])
def test_what_would_be_left_out_is_named(name, value):
    with pytest.raises(ValueError, match=f"Found .*{name}"):
        conversation(row(**{name: value}), [HI, HO])


def test_arguments_of_the_template_are_kept():
    assert conversation(row(chat_template_kwargs={"a": True}), [HI, HO]).options == {"a": True}
    with pytest.raises(ValueError, match="column chat_template_kwargs should be an object. Found str 'x'"):
        conversation(row(chat_template_kwargs="x"), [HI, HO])
