import pytest
import torch
from torch import nn

from lightning_abkd.models import causal_lm_from_config, lora, separate_head

SMALL = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 16}
LLAMA = SMALL | {"intermediate_size": 16, "num_key_value_heads": 2}
GPT2 = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16}
NETWORKS = [
    ("gpt2", GPT2),
    ("llama", LLAMA),
    ("granite", LLAMA | {"logits_scaling": 8.0}),
    ("cohere", LLAMA | {"logit_scale": 0.5}),
    ("gemma2", LLAMA | {"head_dim": 4, "final_logit_softcapping": 0.5}),
    ("gpt_neox", SMALL | {"intermediate_size": 16}),
]
IDS = torch.arange(6).reshape(1, 6)


@pytest.mark.parametrize(("name", "options"), NETWORKS, ids=[name for name, _ in NETWORKS])
def test_parts_compute_what_the_whole_does(name, options):
    network = causal_lm_from_config(name, options).eval()
    parts = separate_head(network)
    torch.testing.assert_close(parts.head().logits(parts.hidden(input_ids=IDS)), network(IDS).logits)


def test_adapters_stay_active():
    network = lora(causal_lm_from_config("llama", LLAMA), rank=2)
    for name, parameter in network.named_parameters():
        if "lora_B" in name:
            nn.init.ones_(parameter)
    parts = separate_head(network)
    network.eval()
    torch.testing.assert_close(parts.head().logits(parts.hidden(input_ids=IDS)), network(input_ids=IDS).logits)


def test_weights_are_those_of_the_network():
    network = causal_lm_from_config("gpt2", GPT2)
    assert separate_head(network).head().weight is network.lm_head.weight


def test_modes_are_kept():
    network = causal_lm_from_config("gpt2", GPT2).train()
    network.transformer.drop.eval()
    separate_head(network)
    assert network.training
    assert network.lm_head.training
    assert not network.transformer.drop.training


def test_networks_that_cannot_be_taken_apart_say_why():
    with pytest.raises(ValueError, match="Linear has NoneType as its output layer"):
        separate_head(nn.Linear(2, 3))
    other = causal_lm_from_config("gpt2", GPT2)
    other.lm_head.register_forward_hook(lambda module, inputs, output: 2 * output)
    with pytest.raises(ValueError, match="GPT2LMHeadModel computes more than its output layer between its last hidden"):
        separate_head(other)
    other.set_output_embeddings(nn.Sequential(nn.Linear(8, 16)))
    with pytest.raises(ValueError, match="has Sequential as its output layer"):
        separate_head(other)


def test_a_backbone_that_cannot_be_called_alone_is_refused():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.base_model = causal_lm_from_config("gpt2", GPT2), nn.Identity()
            self.config, self.get_output_embeddings = self.inner.config, self.inner.get_output_embeddings

        def forward(self, **inputs):
            return self.inner(**inputs)

    with pytest.raises(ValueError, match="the backbone of Odd cannot be called alone"):
        separate_head(Odd())
