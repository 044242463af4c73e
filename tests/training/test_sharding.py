import torch
from torch import nn

from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.training._pieces import is_sharded
from lightning_abkd.training._sharding import sharded_parts, whole_parameters
from tests.training._training import module

GPT2 = {"n_layer": 2, "n_embd": 8, "n_head": 2, "vocab_size": 16}


class Listed(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(4, 8)
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.act = nn.ReLU()


def test_blocks_of_a_language_model_are_parts():
    network = causal_lm_from_config("gpt2", GPT2)
    assert sharded_parts(network) == list(network.transformer.h)


def test_blocks_of_an_adapted_language_model_are_parts():
    from peft import LoraConfig, get_peft_model

    network = get_peft_model(
        causal_lm_from_config("gpt2", GPT2), LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True)
    )
    assert [type(part).__name__ for part in sharded_parts(network)] == ["GPT2Block"] * 2


def test_members_of_a_list_are_parts_and_embeddings_are_not():
    network = Listed()
    assert sharded_parts(network) == list(network.layers)


def test_a_lone_child_is_looked_into():
    network = nn.Sequential(nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)))
    assert sharded_parts(network) == list(network[0])


def test_parts_that_share_a_weight_are_left_out():
    network = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    network[2].weight = network[0].weight
    assert sharded_parts(network) == [network[1]]


def test_a_part_that_is_called_twice_is_one_part():
    layer = nn.Linear(4, 4)
    assert sharded_parts(nn.Sequential(layer, layer, nn.Linear(4, 3)))[0] is layer


def test_numbers_alone_stay_whole():
    network = nn.ParameterList([torch.zeros(()), torch.zeros(3)])
    assert whole_parameters(network) == [network[0]]


def test_nothing_is_sharded_without_a_mesh():
    net = module()
    net.configure_model()
    assert not is_sharded(net)
