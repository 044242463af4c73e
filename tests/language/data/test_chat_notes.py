import json

import pytest

from lightning_abkd.language.data._chat import Chat
from lightning_abkd.language.data._chat_notes import left_out
from tests.language.data._text import conversation
from tests.language.data._tokenizers import CHATML, LLAMA, byte_level

TURNS = conversation("Hi", "Hello", "Go", "Bye")["messages"]
TOOLS = ["tools that the chat template does not write"]
CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": '{"b": 1}'}}]}


def notes(template, turns=TURNS, tools=()):
    chat = Chat(byte_level(template), turns, tools)
    return [*left_out(chat, chat.text)]


def test_a_template_that_writes_everything_leaves_nothing_out():
    assert notes(CHATML) == notes(LLAMA) == []
    assert notes(CHATML, [TURNS[0], CALL], [{"name": "a"}]) == []


@pytest.mark.parametrize("unwritten", ["tools", "m.tool_calls or []"])
def test_tools_or_calls_alone_are_missed(unwritten):
    assert notes(CHATML.replace(unwritten, "[]"), [TURNS[0], CALL], [{"name": "a"}]) == TOOLS


def test_what_cannot_be_written_without_tools_is_not_missed():
    assert notes("{{ raise_exception('No tools') if not tools }}" + LLAMA, TURNS, [{"name": "a"}]) == []


def test_a_system_message_that_is_not_written_is_counted():
    # Mistral writes it before the last message of the user, and thus never after a reply.
    mistral = "{% for m in messages %}{% if m.role != 'system' or loop.last %}[{{ m.content }}]{% endif %}{% endfor %}"
    system = {"role": "system", "content": "Be brief."}
    assert notes(mistral, [system, *TURNS]) == ["messages that the chat template does not write"]
    assert notes(CHATML, [system, *TURNS]) == []


def test_a_reply_that_loses_its_thought_is_counted():
    thought = {"role": "assistant", "content": "<think>\nHm.\n</think>\nBye"}
    deepseek = CHATML.replace("m.content or ''", "(m.content or '').split('</think>')[-1]")
    assert notes(deepseek, [TURNS[0], thought]) == ["replies of which the chat template writes a part"]
    assert notes(CHATML, [TURNS[0], thought]) == []


def test_thoughts_of_their_own_that_are_not_written_are_counted():
    thought = {**TURNS[1], "reasoning_content": "Hm."}
    assert notes(CHATML, [TURNS[0], thought]) == ["reasoning that the chat template does not write"]
    assert notes("{{ messages[1].reasoning_content }}" + CHATML, [TURNS[0], thought]) == []


def test_arguments_that_are_written_as_json_of_json_are_counted():
    qwen = CHATML.replace("c.function.arguments", "c.function.arguments | tojson")
    assert notes(qwen, [TURNS[0], CALL]) == ["arguments of calls that the chat template quotes; give objects"]
    read = {"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": json.loads('{"b": 1}')}}]}
    assert notes(qwen, [TURNS[0], read]) == []


def test_contents_that_the_template_reads_are_not_missed():
    reader = "{{ raise_exception('Not this') if messages[0].content != 'Hi' }}{{ messages[1].content }}"
    assert notes(reader, TURNS[:2]) == []
