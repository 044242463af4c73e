"""Files of weights as other tools write them, and files that we write as other tools read them."""

import argparse
import json

import pytest
import safetensors.torch
import torch
from torch import nn
from torch.nn.utils import parametrizations, prune
from transformers import AutoModelForCausalLM

from lightning_abkd.models import load_weights, lora, save_weights
from lightning_abkd.modules import DistillationModule, LanguageDistillationModule
from tests.field._networks import WRAPS, equal, gpt2, net, under

# What scripts write, each with the weights of net(1), and averages or other networks with those of net(2).
AVERAGE = {"n_averaged": torch.tensor(9), **under("module.", net(2))}
BESIDE = {"optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}, "epoch": 3}
LAYOUTS = {
    "torchvision": {"model": net(1).state_dict(), "model_ema": AVERAGE, "args": argparse.Namespace(lr=0.1), **BESIDE},
    "timm": {"arch": "net", "state_dict": net(1).state_dict(), "state_dict_ema": net(2).state_dict(), **BESIDE},
    "DataParallel": under("module.", net(1)),
    "ImageNet": {"arch": "net", "best_acc1": torch.tensor(7.0), "state_dict": under("module.", net(1)), **BESIDE},
    "BasicSR": {"params": net(1).state_dict(), "params_ema": net(2).state_dict()},
    "tutorial": {"model_state_dict": net(1).state_dict(), "optimizer_state_dict": {}, "loss": torch.tensor(1.0)},
    "CIFAR": {"net": under("module.", net(1)), "acc": 93.1, "epoch": 200},
    "DeepSpeed": {"module": net(1).state_dict(), "ds_version": "0.14"},
    "RepDistiller": {"opt": argparse.Namespace(), "model": net(1).state_dict(), "best_acc": torch.tensor(75.0)},
    "Lightning": {
        "state_dict": {**under("model.", net(1)), "loss.weight": torch.ones(5)},
        "pytorch-lightning_version": "2",
    },
    "backbone": {"state_dict": {**under("backbone.encoder.", net(1)), "head.weight": torch.ones(5)}},
    "compiled": under("_orig_mod.", net(1)),
    "nested": {"checkpoint": {"model": under("module._orig_mod.", net(1))}},
    "average": {"n_averaged": torch.tensor(2), **under("module.", net(1))},
    "old": {name: x for name, x in net(1).state_dict().items() if "num_batches" not in name},
}


@pytest.mark.parametrize("content", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_layouts_of_training_scripts_are_read(tmp_path, content):
    torch.save(content, path := tmp_path / "checkpoint.pth")
    assert equal(load_weights(net(), path), net(1))


@pytest.mark.parametrize(
    ("name", "prefix"), [("torchvision", "model_ema"), ("timm", "state_dict_ema."), ("BasicSR", "params_ema.")]
)
def test_an_average_is_taken_by_its_name(tmp_path, monkeypatch, name, prefix):
    said = []
    monkeypatch.setattr("lightning_abkd.training._checkpoint.rank_zero_info", said.append)
    torch.save(LAYOUTS[name], path := tmp_path / "checkpoint.pth")
    assert equal(load_weights(net(), path, prefix=prefix), net(2))
    assert said == []
    load_weights(net(), path)
    assert "Others fit as well: `prefix=" in said[0]


@pytest.mark.parametrize(
    "content",
    [
        {"student": under("module.backbone.", net(1)), "teacher": under("backbone.", net(2))},
        {"state_dict": under("module.encoder_q.", net(1)) | under("module.encoder_k.", net(2))},
        under("model.", net(1)) | under("model_ema.", net(2)),
    ],
    ids=["DINO", "MoCo", "EMA"],
)
def test_networks_without_an_order_are_refused(tmp_path, content):
    torch.save(content, path := tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match="Found several that fit"):
        load_weights(net(), path)


def test_a_checkpoint_of_another_network_is_one_sentence_and_changes_nothing(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(4)).state_dict(), path := tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=r"2 missing in the file \(3.weight; …\), 4 of another shape \(1.weight \(4,\)"
    ):
        load_weights(network := net(), path)
    assert equal(network, net())


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_tied_student_is_read_back_bit_by_bit(tmp_path, suffix):
    path = LanguageDistillationModule(gpt2(), gpt2(1)).save_student(tmp_path / f"student.{suffix}")
    again = load_weights(gpt2(), path)
    assert equal(again, gpt2(1))
    assert again.lm_head.weight is again.transformer.wte.weight


def test_safetensors_and_torch_read_a_tied_student_without_the_library(tmp_path):
    safetensors.torch.load_model(first := gpt2(), save_weights(gpt2(1), tmp_path / "student.safetensors"))
    (second := gpt2()).load_state_dict(torch.load(save_weights(gpt2(1), tmp_path / "student.pt")))
    assert equal(first, gpt2(1))
    assert equal(second, gpt2(1))


def test_transformers_reads_a_tied_student_without_the_library(tmp_path):
    (student := gpt2(1)).config.save_pretrained(tmp_path)
    save_weights(student, tmp_path / "model.safetensors")
    assert equal(AutoModelForCausalLM.from_pretrained(tmp_path), student)


def test_a_folder_of_transformers_is_read_whole_or_in_shards(tmp_path):
    gpt2(1).save_pretrained(tmp_path / "whole")
    gpt2(1).save_pretrained(tmp_path / "shards", max_shard_size="3KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    assert equal(load_weights(gpt2(), tmp_path / "whole"), gpt2(1))
    assert equal(load_weights(gpt2(), tmp_path / "shards"), gpt2(1))


def test_old_shards_of_transformers_are_read(tmp_path):
    weights = gpt2(1).state_dict()
    shards = {name: f"pytorch_model-0000{1 + i % 2}-of-00002.bin" for i, name in enumerate(weights)}
    for shard in set(shards.values()):
        torch.save({name: weights[name] for name in weights if shards[name] == shard}, tmp_path / shard)
    (path := tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": shards}))
    assert equal(load_weights(gpt2(), path), gpt2(1))


def test_a_file_with_two_values_for_tied_weights_is_refused(tmp_path):
    weights = {**gpt2(1).state_dict(), "lm_head.weight": gpt2(2).lm_head.weight.detach()}
    safetensors.torch.save_file(weights, path := tmp_path / "untied.safetensors")
    with pytest.raises(ValueError, match="Found two values: `lm_head.weight` and `transformer.wte.weight`"):
        load_weights(gpt2(), path)
    assert equal(load_weights(gpt2(tie_word_embeddings=False), path), weights)


def test_an_untied_network_needs_its_output_layer(tmp_path):
    gpt2(1).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"1 missing in the file \(lm_head.weight\)"):
        load_weights(gpt2(tie_word_embeddings=False), tmp_path)


def test_half_precision_is_read_and_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("lightning_abkd.training._checkpoint.rank_zero_info", said.append)
    path = save_weights(net(1).half(), tmp_path / "half.safetensors")
    assert equal(load_weights(net(), path), net(1).half().float())
    assert "8 from float16 to float32" in said[0]


class Honest(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        self.module = net(seed)
        self.model = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(1))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("wrap", WRAPS.values(), ids=WRAPS.keys())
def test_a_wrapped_student_is_written_by_its_own_names(tmp_path, wrap, suffix):
    module = DistillationModule(wrap(net()), wrap(net(1)))
    path = module.save_student(tmp_path / f"student.{suffix}")
    read = torch.load(path) if suffix == "pt" else safetensors.torch.load_file(path)
    assert equal(read, net(1))
    assert equal(load_weights(wrap(net()), path), wrap(net(1)))


def test_an_honest_module_keeps_its_name(tmp_path):
    path = save_weights(Honest(1), tmp_path / "honest.pt")
    assert torch.load(path).keys() == Honest().state_dict().keys()
    assert equal(load_weights(Honest(), path).module, net(1))


def pruned(network):
    prune.l1_unstructured(network[3], "weight", 0.5)
    return network


def normalised(network):
    parametrizations.weight_norm(network[3])
    return network


@pytest.mark.parametrize("change", [pruned, normalised])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_pruned_and_parametrised_networks_have_their_own_names(tmp_path, change, suffix):
    path = save_weights(student := change(net(1)), tmp_path / f"student.{suffix}")
    assert equal(load_weights(change(net()), path), student)


def test_a_network_that_is_not_pruned_takes_what_the_masks_leave(tmp_path):
    student = pruned(net(1))
    saved = {"state_dict": under("model.", student)}
    torch.save(saved, path := tmp_path / "pruned.ckpt")
    loaded = load_weights(net(), path)
    assert loaded[3].weight.equal(student[3].weight)
    module = DistillationModule(student=net())
    module.load_state_dict(under("student.", student))
    assert equal(module.student, loaded)


def test_adapters_are_read_back(tmp_path):
    path = save_weights(student := lora(gpt2(1), rank=2), tmp_path / "student.safetensors")
    assert equal(load_weights(lora(gpt2(), rank=2), path), student)
