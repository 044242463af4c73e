import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from lightning_abkd.models import causal_lm, causal_lm_from_config

GPT2 = {"n_layer": 3, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 32}
IDS = torch.arange(10).reshape(1, 10)


def test_dtype_is_that_of_the_weights(tmp_path):
    causal_lm_from_config("gpt2", GPT2).save_pretrained(tmp_path)
    assert causal_lm(str(tmp_path), dtype="bfloat16").lm_head.weight.dtype == torch.bfloat16


def test_missing_folders_and_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Found no folder './nowhere'"):
        causal_lm("./nowhere")
    with pytest.raises(FileNotFoundError, match=r"Found none named 'x.gguf'"):
        causal_lm(str(tmp_path), gguf_file="x.gguf")


def test_files_that_lack_weights_are_refused(tmp_path):
    causal_lm_from_config("gpt2", GPT2).save_pretrained(tmp_path)
    weights = load_file(path := tmp_path / "model.safetensors")
    del weights["transformer.wpe.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"should hold all weights .* Found 1 missing \(transformer.wpe.weight\)"):
        causal_lm(str(tmp_path))


@pytest.mark.parametrize("content", [b"", b"cut off"])
def test_broken_folders_are_named(tmp_path, content):
    causal_lm_from_config("gpt2", GPT2).config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="should lead to a causal language model. .* Error no file named"):
        causal_lm(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read .SafetensorError"):
        causal_lm(str(tmp_path))
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError, match="cannot be read .*valid JSON"):
        causal_lm(str(tmp_path))


def test_an_encoder_is_no_causal_language_model():
    with pytest.raises(ValueError, match="should be a causal language model. Found the configuration BertConfig"):
        causal_lm_from_config("bert", {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2})
    with pytest.raises(ValueError, match="`model_type` should be known to transformers"):
        causal_lm_from_config("no-such-model")


def test_an_encoder_that_is_told_to_decode_is_one():
    options = {"num_hidden_layers": 1, "hidden_size": 8, "num_attention_heads": 2, "is_decoder": True}
    network = causal_lm_from_config("bert", options | {"vocab_size": 16}).eval()
    torch.testing.assert_close(network(IDS[:, :4]).logits, network(IDS).logits[:, :4])


@pytest.mark.parametrize("name", ["bart", "camembert", "megatron-bert", "xlm"])
def test_architectures_that_look_ahead_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} should be a causal language model"):
        causal_lm_from_config(name)


def test_missing_packages_are_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    (tmp_path / "x.gguf").touch()
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[language\]'"):
        causal_lm(str(tmp_path), gguf_file="x.gguf")
    with pytest.raises(ModuleNotFoundError, match='pip install bitsandbytes. Without it `dtype = "bfloat16"`'):
        causal_lm(str(tmp_path), quantization="int8")
    with pytest.raises(ValueError, match="`quantization` should be None for a GGUF file"):
        causal_lm(str(tmp_path), gguf_file="x.gguf", quantization="4bit")
