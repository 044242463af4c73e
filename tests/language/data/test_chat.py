import pytest

from lightning_abkd.language.data._chat import Chat
from tests.language.data._text import chat_tokenizer, conversation
from tests.language.data._tokenizers import CHATML, LLAMA, MARKED, THINKING, byte_level

TURNS = conversation("Hi", "Hello", "Go", "Bye")["messages"]


def replies(template, turns=TURNS):
    chat = Chat(byte_level(template), turns)
    return [chat.text[slice(*span)] for span in chat.replies(chat.text)]


def test_prompt_is_what_a_network_is_asked_with():
    assert Chat(chat_tokenizer(), TURNS).prompt == "<user>Hi\n<assistant>Hello\n<user>Go\n<assistant>"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (CHATML, ["Hello<|im_end|>\n", "Bye<|im_end|>\n"]),
        (LLAMA, [" Hello <|im_end|>", " Bye <|im_end|>"]),
        # Phi-3 ends the conversation with a mark of its own; this part alone is not written after an earlier reply.
        ("{% for m in messages %}[{{ m.content }}]{% endfor %}{{ eos_token }}", ["Hello]", "Bye]<|im_end|>"]),
        (THINKING, ["Hello<|im_end|>\n", "Bye<|im_end|>\n"]),
    ],
)
def test_replies_are_found_with_their_ends_of_turn(template, expected):
    assert replies(template) == expected


def test_a_reply_is_found_where_the_template_cannot_write_what_is_before_it():
    strict = "{{ raise_exception('No reply') if messages | length < 4 }}" + CHATML
    assert replies(strict) == ["Hello<|im_end|>\n", "Bye<|im_end|>\n"]


def test_a_conversation_may_start_with_a_reply():
    assert replies(CHATML, TURNS[1:])[0] == "Hello<|im_end|>\n"


def test_a_call_that_cannot_be_found_is_named():
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "a", "arguments": ""}}]}
    with pytest.raises(ValueError, match="a part of its own. Found none for message 2"):
        replies("{{ messages | length }}" + CHATML, [TURNS[0], call, *TURNS[2:]])


def test_marks_of_the_template_are_read_where_there_are_some():
    marks = Chat(byte_level(MARKED), TURNS).counted_by_template()
    assert sum(marks) == len("Hello") + len("Bye") + 2
    assert Chat(byte_level(CHATML), TURNS).counted_by_template() is None


def test_what_the_template_refuses_is_said():
    with pytest.raises(ValueError, match="chat template can write. Found the roles user, assistant; .*: Never"):
        _ = Chat(byte_level("{{ raise_exception('Never') }}"), TURNS[:2]).text


def test_arguments_of_the_template_reach_it():
    chat = Chat(byte_level("{{ 'thinks' if thinking }}" + CHATML), TURNS, [{"name": "a"}], {"thinking": True})
    assert chat.text.startswith("thinks<|im_start|>system")
