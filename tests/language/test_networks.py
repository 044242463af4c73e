from lightning_abkd.language._networks import text_config
from lightning_abkd.models import causal_lm_from_config, lora
from tests.language._text import network


def test_configuration_of_a_language_model_is_its_own():
    net = network(0)
    assert text_config(net) is net.config


def test_configuration_of_an_adapted_network_is_that_of_its_base():
    net = causal_lm_from_config("gpt2", {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16})
    assert text_config(lora(net)).vocab_size == 16
