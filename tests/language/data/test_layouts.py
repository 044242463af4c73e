from collections import Counter

import pytest

from lightning_abkd.data import Record
from lightning_abkd.language.data._columns import Row
from lightning_abkd.language.data._layouts import read_row

HI = {"role": "user", "content": "Hi"}
HO = {"role": "assistant", "content": "Ho"}
NO = {"role": "assistant", "content": "No"}
SYSTEM = {"role": "system", "content": "Be."}
TASK = Record(("Ho",), "Hi")
CHAT = Record(("Ho",), messages=(HI,))


def row(values):
    return Row(values, "a.jsonl, record 1")


@pytest.mark.parametrize(
    ("values", "record"),
    [
        # Alpaca, Dolly, GSM8K, TRL.
        ({"instruction": "Hi", "input": "", "output": "Ho", "text": "whole"}, TASK),
        ({"instruction": "Hi", "context": "a", "response": "Ho", "category": "qa"}, Record(("Ho",), "Hi", "a")),
        ({"question": "Hi", "answer": "Ho"}, TASK),
        ({"prompt": "Hi", "completion": "Ho", "label": True}, TASK),
        ({"prompt": [HI], "completion": [HO]}, CHAT),
        ({"prompt": [HI], "response": "Ho"}, CHAT),
        ({"prompt": "Hi", "completion": [HO]}, CHAT),
        # Preferences: explicit and implicit prompts, UltraFeedback, LLaMA-Factory, OpenAI.
        ({"prompt": "Hi", "chosen": "Ho", "rejected": "No"}, TASK),
        ({"prompt": [HI], "chosen": [HO], "rejected": [NO]}, CHAT),
        ({"chosen": [HI, HO], "rejected": [HI, NO]}, CHAT),
        ({"chosen": "Say: Ho", "rejected": "Say: No"}, Record((" Ho",), "Say:")),
        ({"prompt": "Hi", "chosen": [HI, HO], "rejected": [HI, NO]}, CHAT),
        ({"conversations": [HI], "chosen": {"from": "gpt", "value": "Ho"}, "rejected": {}}, CHAT),
        ({"input": {"messages": [HI]}, "preferred_output": [HO], "non_preferred_output": [NO]}, CHAT),
        # ShareGPT and LLaMA-Factory's columns beside a conversation or a task.
        ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}, CHAT),
        ({"conversations": [HI, HO], "system": "Be."}, Record(("Ho",), messages=(SYSTEM, HI))),
        ({"messages": [SYSTEM, HI, HO], "system": "Be."}, Record(("Ho",), messages=(SYSTEM, HI))),
        ({"instruction": "Hi", "output": "Ho", "system": "Be."}, Record(("Ho",), messages=(SYSTEM, HI))),
        ({"prompt": "Hi", "output": "Ho", "history": [["Hi", "Ho"]]}, Record(("Ho",), messages=(HI, HO, HI))),
        ({"prompt": "Hi", "output": "Ho", "system": "", "history": [], "tools": "[]"}, TASK),
        ({"prompt": "Hi", "output": "Ho", "tools": [{"a": 1}]}, Record(("Ho",), messages=(HI,), tools=({"a": 1},))),
        ({"text": "plain"}, Record(("plain",))),
    ],
)
def test_each_layout_is_read_as_its_own(values, record):
    assert read_row(row(values)) == [record]


@pytest.mark.parametrize("absent", [None, float("nan")])
def test_null_columns_are_absent_ones(absent):
    nothing = dict.fromkeys(("messages", "instruction", "output", "prompt", "response", "text", "input"), absent)
    for values, record in (
        ({"messages": [HI, HO]}, CHAT),
        ({"instruction": "Hi", "output": "Ho"}, TASK),
        ({"prompt": "Hi", "response": "Ho"}, TASK),
        ({"instruction": "Hi", "response": "Ho"}, TASK),
        ({"text": "plain"}, Record(("plain",))),
        ({"prompt": "Hi"}, Record(("",), "Hi")),
    ):
        assert read_row(row(nothing | values)) == [record]


def test_empty_fields_of_a_table_are_absent_if_another_column_says_something():
    empty = dict.fromkeys(("instruction", "output", "text"), "")
    assert read_row(row(empty | {"text": "plain"})) == [Record(("plain",))]
    assert read_row(row(empty)) == [Record(("",), "")]


def test_tasks_of_self_instruct_have_several_instances():
    instances = [{"input": "a", "output": "b"}, {"input": "", "output": "c"}]
    records = read_row(row({"id": "seed_task_0", "instruction": "Hi", "instances": instances}))
    assert records == [Record(("b",), "Hi", "a"), Record(("c",), "Hi")]


def test_the_choice_among_responses_is_counted():
    pair = row({"prompt": "Hi", "chosen": "Ho", "rejected": "No"})
    read_row(pair)
    assert pair.notes == Counter({"chosen taken, rejected left out": 1})
    for label in (False, "False"):
        unwanted = row({"prompt": "Hi", "completion": "No", "label": label})
        assert read_row(unwanted) == []
        assert unwanted.notes == Counter({"unwanted responses left out": 1})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"instruction": ["a"], "output": "b"}, "column instruction should be text. Found list"),
        ({"instruction": "a", "output": {"text": "b"}}, "column output should be text. Found dict"),
        ({"instruction": "a", "output": ["b", ["c"]]}, "column output should be text. Found list"),
        ({"instruction": "a", "input": ["b"], "output": "c"}, "column input should be text. Found list"),
        ({"prompt": {"a": 1}, "output": "b"}, "column prompt should be text. Found dict"),
        ({"text": ["a", "b"]}, "column text should be text. Found list"),
        ({"text": 0.5}, "column text should be text. Found float 0.5"),
        ({"prompt": [HI], "response": ["a"]}, "column response should be text. Found list"),
        ({"instruction": None, "output": "a"}, r"a column instruction or prompt.* Found instruction \(null\), output"),
        ({"chosen": "a"}, "a column instruction or prompt, or a column rejected beside chosen. Found chosen"),
        ({"ask": "a"}, r"Found ask. Name another with `columns`, as in `columns.instruction: ask`"),
        ({"question": "a", "gold": "b"}, r"a column output or response. .* as in `columns.output: gold`"),
        ({"input": "a", "preferred_output": [HO]}, "column input should be an object with messages. Found str"),
        ({"prompt": "a", "output": "b", "history": ["c"]}, "column history should be pairs of texts. Found list"),
        ({"instruction": "a", "instances": [{"output": ["b", 0.5]}]}, "instance 1, column output should be text"),
    ],
)
def test_what_is_no_text_is_named(values, message):
    with pytest.raises(ValueError, match=f"^a.jsonl, record 1.*{message}"):
        read_row(row(values))


def test_another_response_than_the_chosen_one_is_left_out_of_a_pair():
    pair = row({"prompt": "Hi", "response": "Hm", "chosen": "Ho", "rejected": "No"})
    assert read_row(pair) == [TASK]
    assert pair.notes == Counter({"chosen taken, rejected left out": 1, "chosen taken, response left out": 1})
