from lightning_abkd.data import Record
from lightning_abkd.language.data._record import calls_tool, is_trained

CALL = {"role": "assistant", "tool_calls": [{"function": {"name": "a"}}]}


def test_a_task_is_one_message_of_the_user():
    assert Record(("3",), "Add.", "1 and 2").conversation == [
        {"role": "user", "content": "Add.\n\n1 and 2"},
        {"role": "assistant", "content": "3"},
    ]


def test_a_reply_keeps_all_its_keys():
    asked = {"role": "user", "content": "How?"}
    assert Record(("",), messages=(asked,), reply=CALL).conversation == [asked, CALL]


def test_a_response_is_empty_unless_it_says_something_or_calls_a_tool():
    assert Record((" ",), "Add.").is_empty
    assert not Record(("3",), "Add.").is_empty
    assert not Record(("",), messages=({"role": "user", "content": "How?"},), reply=CALL).is_empty


def test_calls_in_the_older_layout_are_calls():
    assert calls_tool(CALL)
    assert calls_tool({"role": "assistant", "function_call": {"name": "a"}})
    assert not calls_tool({"role": "assistant", "tool_calls": []})


def test_turns_of_the_assistant_are_trained_on_unless_their_weight_is_zero():
    turns = [
        {"role": "user"},
        {"role": "assistant"},
        {"role": "assistant", "weight": 0},
        {"role": "assistant", "weight": 1},
    ]
    assert list(map(is_trained, turns)) == [False, True, False, True]
