"""Models that others made: no code in their files runs unless asked for, and nothing leads out of their folder."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from transformers import dynamic_module_utils

from lightning_abkd.cli import AbkdCLI
from lightning_abkd.data import load_tokenizer
from lightning_abkd.models import causal_lm, clip_classifier, load_pretrained, load_weights, lora
from tests.field._networks import gpt2

CODE = """
import os
os.system("touch called")
from transformers import ByT5Tokenizer, GPT2Config, GPT2LMHeadModel

class Mine(GPT2Config):
    model_type = "mine"

class Network(GPT2LMHeadModel):
    config_class = Mine

class Tokens(ByT5Tokenizer):
    pass
"""
MAPS = {
    "config.json": {
        "model_type": "mine",
        "auto_map": {"AutoConfig": "code.Mine", "AutoModelForCausalLM": "code.Network"},
    },
    "tokenizer_config.json": {"tokenizer_class": "Tokens", "auto_map": {"AutoTokenizer": ["code.Tokens", None]}},
}


class Calls:
    def __reduce__(self):
        return os.system, ("touch called",)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["abkd"])
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("builtins.input", lambda *asked: pytest.fail("Nobody should be asked."))
    yield tmp_path
    assert not (tmp_path / "called").exists()


@pytest.fixture
def custom(folder):
    gpt2().save_pretrained(folder / "custom")
    (folder / "custom" / "code.py").write_text(CODE)
    for name, change in MAPS.items():
        path = folder / "custom" / name
        content = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(content | change))
    return "custom"


@pytest.mark.parametrize("load", [causal_lm, load_tokenizer])
def test_code_beside_a_model_runs_only_where_it_is_asked_for(folder, custom, load):
    with pytest.raises(ValueError, match="it runs only where `trust_remote_code: true` asks for it"):
        load(custom)
    assert not (folder / "called").exists()
    assert type(load(custom, trust_remote_code=True)).__module__.endswith(".code")
    (folder / "called").unlink()


def test_a_config_that_calls_transformers_itself_is_not_asked_either(custom, capsys):
    tokenizer = {"class_path": "transformers.AutoTokenizer.from_pretrained"}
    tokenizer["dict_kwargs"] = {"pretrained_model_name_or_path": custom}
    data = {"class_path": "lightning_abkd.data.InstructionDataModule", "init_args": {"tokenizer": tokenizer}}
    student = {"class_path": "torch.nn.Linear", "init_args": {"in_features": 1, "out_features": 1}}
    model = {"class_path": "lightning_abkd.modules.DistillationModule", "init_args": {"student": student}}
    Path("c.json").write_text(json.dumps({"seed_everything": 0, "model": model, "data": data}))
    with pytest.raises((SystemExit, ValueError)) as refused:
        AbkdCLI(["fit", "--config", "c.json"])
    assert "trust_remote_code" in f"{refused.value}{capsys.readouterr().err}"


def test_a_known_architecture_needs_no_code_beside_it(custom):
    path = Path(custom, "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_type": "gpt2"}))
    assert type(causal_lm(custom)).__name__ == "GPT2LMHeadModel"


def test_a_clip_has_no_code_of_its_own(custom):
    with pytest.raises(ValueError, match="should be a CLIP. Found a model of the type 'mine'"):
        clip_classifier(custom, ["cat", "dog"])


def with_pickle(path):
    path.parent.mkdir(exist_ok=True)
    torch.save({"state_dict": gpt2().state_dict(), "x": Calls()}, path)
    return path


def test_no_reader_of_weights_runs_a_pickle(folder):
    gpt2().save_pretrained(folder / "bin")
    (folder / "bin" / "model.safetensors").unlink()
    lora(gpt2(), rank=2).save_pretrained(folder / "adapters")
    (folder / "adapters" / "adapter_model.safetensors").unlink()
    with_pickle(folder / "adapters" / "adapter_model.bin")
    path = with_pickle(folder / "bin" / "pytorch_model.bin")
    readers = {
        "folder": lambda: causal_lm("bin"),
        "adapters": lambda: lora(gpt2(), path="adapters"),
        "weights": lambda: load_weights(gpt2(), path),
        "pretrained": lambda: load_pretrained(gpt2(), "bin"),
    }
    for name, read in readers.items():
        with pytest.raises(ValueError, match=r"needs\s+pickle to run code.*system"):
            read()
        assert not (folder / "called").exists(), name


def test_safetensors_come_first(folder):
    gpt2(1).save_pretrained(folder / "both")
    with_pickle(folder / "both" / "pytorch_model.bin")
    assert causal_lm("both").lm_head.weight.equal(gpt2(1).lm_head.weight)
    assert load_weights(gpt2(), "both").lm_head.weight.equal(gpt2(1).lm_head.weight)


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "below/x.safetensors"])
def test_an_index_names_files_beside_it(folder, shard):
    gpt2().save_pretrained(folder / "sharded", max_shard_size="3KB")
    (folder / "sharded" / "below").mkdir()
    path = folder / "sharded" / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    for place in ("outside.safetensors", "sharded/below/x.safetensors"):
        shutil.copy(folder / "sharded" / next(iter(index["weight_map"].values())), folder / place)
    index["weight_map"] = dict.fromkeys(index["weight_map"], shard)
    path.write_text(json.dumps(index))
    with pytest.raises(ValueError, match=f"should name files beside it. Found '{shard}'"):
        causal_lm("sharded")
    with pytest.raises(ValueError, match=f"should name files beside it. Found '{shard}'"):
        load_weights(gpt2(), "sharded")


def test_files_that_the_hub_keeps_as_links_are_read(folder):
    (folder / "snapshot").mkdir()
    gpt2(1).save_pretrained(folder / "blobs")
    for file in (folder / "blobs").iterdir():
        (folder / "snapshot" / file.name).symlink_to(file)
    assert causal_lm("snapshot").lm_head.weight.equal(gpt2(1).lm_head.weight)


def as_clip(path):
    return clip_classifier(path, ["cat", "dog"])


@pytest.mark.parametrize("name", ["nowhere", "./nowhere", "/nowhere/at/all", "../x"])
def test_a_name_that_is_no_folder_is_not_asked_of_the_hub(name):
    for load in (
        causal_lm,
        load_tokenizer,
        lambda path: lora(gpt2(), path=path),
        lambda path: clip_classifier(path, ["a"]),
    ):
        with pytest.raises(FileNotFoundError, match="should be a folder or owner/name on the hub. Found no folder"):
            load(name)


def test_a_folder_without_adapters_is_not_asked_of_the_hub(folder):
    (folder / "adapters").mkdir()
    with pytest.raises(FileNotFoundError, match=r"which lacks adapter_config.json"):
        lora(gpt2(), path="adapters")
    (folder / "adapters" / "adapter_config.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"which lacks their weights"):
        lora(gpt2(), path="adapters")
