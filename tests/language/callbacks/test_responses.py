import json

import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import nn

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.language.callbacks._responses import (
    append_lines,
    check_role,
    checked,
    prompted_sets,
    responder,
    texts_of,
    write_whole,
)
from tests.language._text import instruction_data, language_module
from tests.language.data._text import write
from tests.training._training import module as classifier, trainer


def test_unfit_modules_and_data_are_named(tmp_path):
    run = trainer(tmp_path)
    with pytest.raises(TypeError, match="Callback is for a LanguageDistillationModule. Found DistillationModule"):
        checked(Callback(), run, classifier())
    with pytest.raises(TypeError, match="samples of an InstructionDataModule. Found NoneType"):
        checked(Callback(), run, language_module())
    run.datamodule = LightningDataModule()
    with pytest.raises(TypeError, match="samples of an InstructionDataModule. Found LightningDataModule"):
        checked(Callback(), run, language_module())


def test_responder_is_the_network_of_that_name():
    module = language_module()
    assert responder(module, "student") is module.student
    assert responder(module, "teacher") is module.teacher


def test_networks_that_cannot_respond_are_named():
    with pytest.raises(ValueError, match="The teacher should respond. Found none"):
        responder(language_module(teacher=None, divergence=None), "teacher")
    with pytest.raises(TypeError, match="The student should be a network of transformers .* Found Linear"):
        responder(language_module(student=nn.Linear(2, 2)), "student")
    with pytest.raises(ValueError, match="should be 'student' or 'teacher'. Found `network = 'both'`"):
        check_role("both")


def test_sets_come_in_the_order_of_their_loaders(tmp_path):
    files = {name: write(tmp_path / f"{name}.jsonl", (name, "x")) for name in ("z", "a")}
    data = instruction_data(tmp_path, validation_file=files)
    data.setup("test")
    assert [samples[0].prompt for samples in prompted_sets(data, "test")] == ["z", "a"]


def test_plain_text_is_named(tmp_path):
    text = write(tmp_path / "text.jsonl", {"text": "abc"})
    for given, name in ((text, "the test set"), ({"x": text}, "the set 'x'")):
        data = instruction_data(tmp_path, test_file=given)
        data.setup("test")
        with pytest.raises(ValueError, match=f"should have prompts to respond to. Found plain text in {name}"):
            prompted_sets(data, "test")


def test_texts_are_without_special_tokens(tmp_path):
    ids = torch.tensor(byte_tokenizer().encode("häuser"))
    assert texts_of(instruction_data(tmp_path), [ids, ids[:0], ids[-1:]]) == ["häuser", "", ""]


def test_lines_are_added_and_files_replaced(tmp_path):
    path = tmp_path / "folder" / "a.jsonl"
    write_whole(path, "old")
    write_whole(path, "")
    append_lines(path, [{"a": "x\ny\u2028"}])
    append_lines(path, [{"b": 1}])
    assert [json.loads(line) for line in path.read_text().splitlines()] == [{"a": "x\ny\u2028"}, {"b": 1}]
    assert list(path.parent.iterdir()) == [path]
