import pytest
import torch
from torch import nn

from lightning_abkd.language.teachers._cache_identity import differences, identity_like, is_sampled, sampled_identity
from lightning_abkd.models import causal_lm, causal_lm_from_config, model_identity

GPT2 = {"n_layer": 1, "n_embd": 8, "n_head": 2, "vocab_size": 16, "n_positions": 32}


def linear(dtype=torch.float32):
    network = nn.Linear(64, 64, dtype=dtype)
    nn.init.constant_(network.bias, 0.5)
    with torch.no_grad():
        network.weight.copy_(torch.arange(64 * 64).reshape(64, 64))
    return network


def test_identity_is_the_same_in_every_process():
    # written down from another process
    assert model_identity(linear()) == "Linear 04e654d201c67077"
    assert sampled_identity(linear()) == "Linear 5ec4c9f60fc3"


def test_one_changed_value_counts():
    network = nn.Linear(512, 512, bias=False)
    before = model_identity(network)
    # 199 of 262,144 values, one of them at a time below the resolution of any sample.
    with torch.no_grad():
        network.weight.view(-1)[1000:1199] += 1
    assert len({before, model_identity(network), model_identity(network.double())}) == 3
    network.float().weight.data.view(-1)[77_777] += 1
    assert model_identity(network) != before


def test_buffers_count():
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = model_identity(network)
    network[1].running_mean += 1
    assert model_identity(network) != before


def test_a_known_identity_is_compared_in_its_own_form():
    assert is_sampled(sampled_identity(linear()))
    assert not is_sampled(model_identity(linear()))
    for known in (sampled_identity(linear()), model_identity(linear())):
        assert identity_like(linear(), known) == known


def test_every_column_and_row_of_a_matrix_counts():
    for change in (lambda w: w[:, 9].add_(1), lambda w: w[5].add_(1), lambda w: w.neg_()):
        network = linear()
        change(network.weight.data)
        assert model_identity(network) != model_identity(linear())


def test_shapes_names_and_dtypes_count():
    a, b = nn.Linear(4, 2, bias=False), nn.Linear(2, 4, bias=False)
    b.weight.data = a.weight.data.reshape(4, 2)
    named = nn.Sequential(a)
    others = [b, named, nn.Linear(4, 2, bias=False).bfloat16()]
    fingerprints = {model_identity(network).split()[-1] for network in [a, *others]}
    assert len(fingerprints) == 4


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_dtype_has_a_fingerprint(dtype):
    assert model_identity(linear(dtype)) == model_identity(linear(dtype))


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel, lambda net: nn.Sequential(*map(torch.compile, net))])
def test_wrappers_do_not_count(wrap):
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 2))
    assert model_identity(wrap(net)) == model_identity(net)


def test_layout_in_memory_does_not_count():
    network = linear()
    network.weight.data = network.weight.data.T.contiguous().T
    assert model_identity(network) == model_identity(linear())


def test_a_network_without_values_has_an_identity():
    assert model_identity(nn.ParameterList([torch.empty(0)])).startswith("ParameterList ")
    assert model_identity(nn.Identity()).startswith("Identity ")


def test_folder_is_named_without_its_way(tmp_path):
    folder = tmp_path / "some" / "teacher"
    causal_lm_from_config("gpt2", GPT2).save_pretrained(folder)
    name, source, _ = model_identity(causal_lm(str(folder))).split()
    assert (name, source) == ("GPT2LMHeadModel", "teacher")


def test_name_on_the_hub_is_kept():
    network = causal_lm_from_config("gpt2", GPT2)
    network.config.name_or_path = "owner/name"
    assert " owner/name " in model_identity(network)


def test_only_expected_names_are_compared():
    assert differences({"model": "a", "data": "b"}, {"data": "b"}) == []
    assert differences({"model": "a"}, {"model": "b"}) == ["Found `model = 'a'`, expected 'b'."]
