import pytest
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import nn

from lightning_abkd.data import byte_tokenizer
from lightning_abkd.language.callbacks._language_run import LanguageRun, language_run
from tests.language._text import instruction_data, language_module
from tests.language.data._text import write
from tests.training._training import module as classifier, trainer


def test_unfit_modules_and_data_are_named(tmp_path):
    run = trainer(tmp_path)
    with pytest.raises(TypeError, match="Callback is for a LanguageDistillationModule. Found DistillationModule"):
        language_run(Callback(), run, classifier())
    with pytest.raises(TypeError, match="samples of an InstructionDataModule. Found NoneType"):
        language_run(Callback(), run, language_module())
    run.datamodule = LightningDataModule()
    with pytest.raises(TypeError, match="samples of an InstructionDataModule. Found LightningDataModule"):
        language_run(Callback(), run, language_module())


def run_of(module=None, data=None):
    return LanguageRun(module or language_module(), data)


def test_responding_network_is_that_of_the_name():
    run = run_of()
    assert run.responding_network("student") is run.module.student
    assert run.responding_network("teacher") is run.module.teacher


def test_networks_that_cannot_respond_are_named():
    with pytest.raises(ValueError, match="The teacher should respond. Found none"):
        run_of(language_module(teacher=None, divergence=None)).responding_network("teacher")
    with pytest.raises(TypeError, match="The student should be a network of transformers .* Found Linear"):
        run_of(language_module(student=nn.Linear(2, 2))).responding_network("student")


def test_sets_come_in_the_order_of_their_loaders(tmp_path):
    files = {name: write(tmp_path / f"{name}.jsonl", (name, "x")) for name in ("z", "a")}
    data = instruction_data(tmp_path, validation_file=files)
    data.setup("test")
    assert [samples[0].prompt for samples in run_of(data=data).prompted_sets("test")] == ["z", "a"]


def test_plain_text_is_named(tmp_path):
    text = write(tmp_path / "text.jsonl", {"text": "abc"})
    for given, name in ((text, "the test set"), ({"x": text}, "the set 'x'")):
        data = instruction_data(tmp_path, test_file=given)
        data.setup("test")
        with pytest.raises(ValueError, match=f"should have prompts to respond to. Found plain text in {name}"):
            run_of(data=data).prompted_sets("test")


def test_texts_are_without_special_tokens(tmp_path):
    ids = torch.tensor(byte_tokenizer().encode("häuser"))
    assert run_of(data=instruction_data(tmp_path)).texts([ids, ids[:0], ids[-1:]]) == ["häuser", "", ""]
