import pytest
import torch
from torch import nn

from lightning_abkd.models import causal_lm_from_config
from lightning_abkd.training._placement import placed
from tests.training._training import loader, module, network, trainer

META = torch.device("meta")
CPU = torch.device("cpu")


def devices(part):
    return {tensor.device.type for tensor in (*part.parameters(), *part.buffers())}


def test_offloaded_parts_come_to_the_device_one_at_a_time():
    net, seen = network().eval(), []
    placement = placed(net, "offload")
    placement.to(META)
    net[3].register_forward_pre_hook(lambda part, _: seen.append((devices(net[0]), devices(part))))
    output = placement.run(lambda: net(torch.zeros(2, 5, device=META)))
    assert output.device == META
    assert seen == [({"cpu"}, {"meta"})]
    assert devices(net) == {"cpu"}


def test_what_lies_outside_of_offloaded_blocks_stays_on_the_device():
    net = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
    placed(net, "offload").to(META)
    assert devices(net.transformer.h) == {"cpu"}
    assert devices(net.lm_head) == devices(net.transformer.ln_f) == {"meta"}


def test_offloaded_weights_return_after_an_error():
    net = network()
    placed(net, "offload").to(META)
    with pytest.raises(RuntimeError):
        net(torch.zeros(2, 6, device=META))
    assert devices(net) == {"cpu"}


def test_a_device_of_its_own_takes_inputs_and_gives_outputs_back():
    net = nn.Linear(2, 2)
    placement = placed(net, "cpu")
    placement.to(META)
    assert devices(net) == {"cpu"}
    assert placement.arriving({"x": torch.zeros(1, 2)})["x"].device == placement.device == CPU
    assert placement.leaving((torch.zeros(1, 2),))[0].device == META


@pytest.mark.parametrize("placement", ["shard", "offload", "cpu"])
def test_training_is_the_same_wherever_the_teacher_lies(tmp_path, placement):
    weights = []
    for options in ({}, {"teacher_placement": placement}):
        trainer(tmp_path, max_epochs=1).fit(net := module(**options), loader(), loader())
        weights.append(net.student[0].weight)
    torch.testing.assert_close(*weights, rtol=0, atol=0)


@pytest.mark.parametrize("placement", ["somewhere", "cuda:one", ""])
def test_an_unknown_place_is_an_error(placement):
    with pytest.raises(ValueError, match=f"Found `teacher_placement = '{placement}'`"):
        module(teacher_placement=placement)
