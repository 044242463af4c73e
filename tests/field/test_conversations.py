"""Conversations, by the chat templates of real models: tokens, labels, tools, and prompts to respond to."""

import json

import pytest
import torch

from lightning_abkd.callbacks import ResponseWriter
from lightning_abkd.data import IGNORE_INDEX, InstructionDataModule, read_records
from lightning_abkd.modules import Sampling
from tests.language._text import language_module, network
from tests.language.data._text import conversation
from tests.language.data._tokenizers import CHATML, LLAMA, MARKED, THINKING, byte_level, sentence_pieces
from tests.training._training import trainer

CHAT = conversation("Hi", "Hello", "Go", "Bye")
CALL = {"type": "function", "id": "1", "function": {"name": "weather", "arguments": '{"city": "Ulm"}'}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
CALLED = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "text", "text": "How is it?"}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "1", "name": "weather", "content": "sun"},
    {"role": "assistant", "content": "Sunny."},
]


def module(folder, tokenizer, *records, **options):
    (path := folder / "a.jsonl").write_text("\n".join(map(json.dumps, records)))
    options = {"max_length": 500, "max_prompt_length": 450, "validation_file": str(path), **options}
    return InstructionDataModule(tokenizer, str(path), **options)


def whole(tokenizer, messages, **options):
    return tokenizer.apply_chat_template(messages, return_dict=True, **options)["input_ids"]


@pytest.mark.parametrize("turns", ["last", "every"])
@pytest.mark.parametrize("template", [CHATML, MARKED, LLAMA, THINKING])
@pytest.mark.parametrize("kind", [byte_level, sentence_pieces])
def test_tokens_are_the_templates_own_whichever_turn_is_trained_on(tmp_path, kind, template, turns):
    tokens = kind(template)
    sample = module(tmp_path, tokens, CHAT, labelled_turns=turns).record("train", 0)
    assert sample.tokens.tolist() == whole(tokens, CHAT["messages"])
    assert (sample.labels[: sample.prompt_length] != IGNORE_INDEX).any() == (turns == "every")
    assert (sample.labels[sample.prompt_length :] != IGNORE_INDEX).any()


def test_tools_calls_and_results_are_what_the_template_writes(tmp_path):
    tokens = byte_level(CHATML)
    sample = module(tmp_path, tokens, {"messages": CALLED, "tools": TOOLS}).record("train", 0)
    plain = [CALLED[0], {"role": "user", "content": "How is it?"}, *CALLED[2:]]
    assert sample.tokens.tolist() == whole(tokens, plain, tools=TOOLS)
    written = tokens.apply_chat_template(plain[:-1], tools=TOOLS, tokenize=False, add_generation_prompt=True)
    assert (sample.prompt, sample.references) == (written, ("Sunny.",))


def test_a_task_is_written_by_the_template_as_a_conversation_is(tmp_path):
    tokens = byte_level(CHATML)
    data = module(tmp_path, tokens, {"instruction": "Hi", "output": "Hello"}, template="chat")
    assert data.record("train", 0).tokens.tolist() == whole(tokens, CHAT["messages"][:2])


@pytest.mark.parametrize("packing", [False, True])
def test_every_turn_is_trained_on_and_the_last_is_responded_to(tmp_path, packing):
    options = {"labelled_turns": "every", "packing": packing, "batch_size": 2}
    data = module(tmp_path, tokens := byte_level(CHATML), CHAT, conversation("Hi", "Ho"), **options)
    (batch,) = data.train_dataloader()
    labelled = batch["labels"][batch["labels"] != IGNORE_INDEX].tolist()
    assert sorted(tokens.decode(labelled).split("<|im_end|>\n")) == ["", "Bye", "Hello", "Ho"]
    data.setup("predict")
    (batch,) = data.predict_dataloader()
    assert batch["prompt_length"].tolist() == [data.record("test", i).prompt_length for i in range(2)]


def test_a_module_learns_from_every_turn_and_a_writer_keeps_the_tools(tmp_path):
    size = {"vocab_size": 260, "n_positions": 512}
    net = language_module(teacher=network(1, **size), student=network(2, **size))
    records = [CHAT, {"messages": CALLED, "tools": TOOLS}]
    data = module(tmp_path, byte_level(CHATML), *records, labelled_turns="every", predict_set="train")
    trainer(tmp_path, max_epochs=1).fit(net, datamodule=data)
    writer = ResponseWriter(str(tmp_path / "out.jsonl"), sampling=Sampling(max_new_tokens=2, temperature=0.0))
    trainer(tmp_path, callbacks=[writer]).predict(net, datamodule=data)
    prompts = [record.messages for record in read_records(tmp_path / "a.jsonl")]
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [tuple(row["messages"][:-1]) for row in written] == prompts
    assert [row.get("tools") for row in written] == [None, TOOLS]
    assert torch.isfinite(net.student.transformer.wte.weight).all()


def test_what_a_template_refuses_is_named_with_its_record(tmp_path):
    strict = "{{ raise_exception('No system here') if messages[0].role == 'system' }}" + CHATML
    with pytest.raises(ValueError, match=r"a.jsonl, record 2: .* the template says: No system here"):
        module(tmp_path, byte_level(strict), CHAT, {"messages": CALLED}).setup("fit")
