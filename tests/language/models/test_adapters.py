import sys

import pytest
import torch
from jsonargparse import ArgumentParser
from peft import PeftModel
from torch import nn

from lightning_abkd.models import causal_lm, causal_lm_from_config, lora, merge_adapters

SIZES = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2}
OPTIONS = {
    "gpt2": {"n_layer": 2, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 32},
    "llama": SIZES | {"num_hidden_layers": 2},
}
IDS = torch.arange(10).reshape(1, 10)


def network(name="llama"):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return causal_lm_from_config(name, OPTIONS[name]).eval()


def stepped(net):
    """The network after two steps of training: in the first only B has a gradient."""
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1.0)
    for _ in range(2):
        net.train()(IDS, labels=IDS).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return net.eval()


@pytest.mark.parametrize("name", OPTIONS)
def test_only_adapters_learn(name):
    net = lora(network(name), rank=2)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    stepped(net)
    changed = {name for name, p in net.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {name for name in before if "lora_" in name}


@pytest.mark.parametrize("name", OPTIONS)
def test_starts_as_the_network_was(name):
    torch.testing.assert_close(lora(network(name))(IDS).logits, network(name)(IDS).logits)


@pytest.mark.parametrize("name", OPTIONS)
def test_merged_network_is_plain_and_has_the_same_logits(name):
    net = stepped(lora(network(name), rank=2))
    expected = net(IDS).logits
    assert not torch.allclose(expected, network(name)(IDS).logits)
    plain = merge_adapters(net)
    torch.testing.assert_close(plain(IDS).logits, expected)
    assert set(plain.state_dict()) == set(network(name).state_dict())
    assert all(parameter.requires_grad for parameter in plain.parameters())


def test_a_network_without_adapters_is_merged_already():
    assert merge_adapters(net := network()) is net


def test_training_goes_on_from_saved_adapters(tmp_path):
    net = stepped(lora(network(), rank=2))
    net.save_pretrained(tmp_path)
    again = lora(network(), path=str(tmp_path))
    torch.testing.assert_close(again.eval()(IDS).logits, net(IDS).logits)
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in net.named_parameters() if p.requires_grad
    }


def test_gradient_checkpointing_changes_no_gradient(tmp_path):
    network().save_pretrained(tmp_path)
    nets = [lora(causal_lm(str(tmp_path), gradient_checkpointing=on), dropout=0.0) for on in (False, True)]
    nets[1].load_state_dict(nets[0].state_dict())
    for net in nets:
        net.train()(IDS, labels=IDS).loss.backward()
    for plain, checkpointed in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        torch.testing.assert_close(plain.grad, checkpointed.grad)


def test_modules_can_be_chosen():
    net = lora(network(), rank=2, target_modules=["down_proj"])
    assert {name.split(".")[-4] for name, p in net.named_parameters() if p.requires_grad} == {"down_proj"}


def test_factory_is_a_class_path_around_another():
    inner = {"class_path": "lightning_abkd.models.causal_lm_from_config", "init_args": {"model_type": "llama"}}
    inner["init_args"]["options"] = OPTIONS["llama"]
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--net", type=nn.Module)
    init_args = {"network": inner, "rank": 2, "target_modules": ["q_proj"]}
    config = parser.parse_object({"net": {"class_path": "lightning_abkd.models.lora", "init_args": init_args}})
    assert isinstance(parser.instantiate(config).net, PeftModel)


def test_unfit_arguments_are_named():
    with pytest.raises(ValueError, match="`rank` should be at least 1. Found `rank = 0`"):
        lora(network(), rank=0)
    with pytest.raises(ValueError, match=r"`dropout` should lie in \[0, 1\). Found `dropout = 1.0`"):
        lora(network(), dropout=1.0)
    with pytest.raises(ValueError, match=r"should have no adapters. Found some; pass `merge_adapters\(network\)`"):
        lora(lora(network()))
    with pytest.raises(TypeError, match="should be a causal language model of transformers. Found Linear"):
        lora(nn.Linear(2, 2))


def test_missing_peft_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lightning-abkd\[language\]'"):
        lora(network())
