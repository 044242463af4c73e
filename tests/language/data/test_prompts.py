import pytest

from lightning_abkd.data import Record, alpaca_prompt, byte_tokenizer
from lightning_abkd.language.data._prompts import check_template, prompt_of
from tests.language.data._text import chat_tokenizer, conversation
from tests.language.data._tokenizers import CHATML, byte_level

ADD = Record(("3",), "Add.", "1 and 2")
CHAT = Record(("Bye",), messages=tuple(conversation("Hi", "Hello", "Go")["messages"]))


def test_prompt_has_the_layout_of_alpaca():
    prompt = alpaca_prompt("Add.", "1 and 2")
    assert "paired with an input" in prompt
    assert prompt.endswith("### Instruction:\nAdd.\n\n### Input:\n1 and 2\n\n### Response:\n")


def test_instructions_are_written_by_the_template():
    assert prompt_of(ADD, None, byte_tokenizer()) == alpaca_prompt("Add.", "1 and 2")
    assert prompt_of(ADD, lambda instruction, context: f"{context}|{instruction}", byte_tokenizer()) == "1 and 2|Add."


def test_instruction_and_context_are_one_message_of_a_chat():
    assert prompt_of(ADD, "chat", chat_tokenizer()) == "<user>Add.\n\n1 and 2\n<assistant>"
    assert prompt_of(Record(("",), "Add."), "chat", chat_tokenizer()) == "<user>Add.\n<assistant>"


@pytest.mark.parametrize("template", [None, "chat", lambda instruction, context: "x"])
def test_conversations_always_take_the_chat_template(template):
    assert prompt_of(CHAT, template, chat_tokenizer()) == "<user>Hi\n<assistant>Hello\n<user>Go\n<assistant>"


def test_plain_text_has_no_prompt():
    assert prompt_of(Record(("text",)), "chat", chat_tokenizer()) == ""


def test_tokenizer_without_chat_template_is_named():
    with pytest.raises(ValueError, match="should have a chat template.* Found none in ByT5Tokenizer"):
        prompt_of(CHAT, None, byte_tokenizer())
    with pytest.raises(ValueError, match="should have a chat template"):
        check_template("chat", byte_tokenizer())


def test_unknown_template_is_named():
    with pytest.raises(ValueError, match="Found `template = 'vicuna'`"):
        check_template("vicuna", byte_tokenizer())


def test_a_template_that_returns_no_text_is_named():
    with pytest.raises(TypeError, match="`template` should return text. Found tuple"):
        prompt_of(ADD, lambda *parts: parts, byte_tokenizer())


def test_tools_of_a_conversation_reach_the_template():
    tokens = byte_level(CHATML)
    record = Record(("Bye",), messages=CHAT.messages, tools=({"name": "weather"},))
    given = {"tools": list(record.tools), "tokenize": False, "add_generation_prompt": True}
    assert prompt_of(record, None, tokens) == tokens.apply_chat_template(list(CHAT.messages), **given)
