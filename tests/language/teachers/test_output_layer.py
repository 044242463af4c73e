import pytest
import torch
from torch import nn
from torch.nn.modules import module as modules_of_torch
from torch.nn.utils import parametrizations, prune

from lightning_abkd.language.teachers._output_layer import check_no_hooks, is_split_by_rows, plain_layer
from lightning_abkd.language.teachers._separate_head import SeparateHead
from tests._processes import on_ranks
from tests._shards import ranks


def linear():
    return nn.Linear(4, 6)


def own_forward():
    layer = linear()
    layer.forward = lambda x: 2 * nn.functional.linear(x, layer.weight)
    return layer


def with_backward_hook():
    layer = linear()
    layer.register_full_backward_hook(lambda module, inputs, outputs: None)
    return layer


def computed():
    layer = linear()
    weight = layer.weight.detach()
    del layer.weight
    layer.weight = 2 * weight
    return layer


def of_whole_numbers():
    layer = linear()
    layer.weight = nn.Parameter(torch.zeros(6, 4, dtype=torch.int8), requires_grad=False)
    return layer


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_plain(bias):
    layer = nn.Linear(4, 6, bias=bias)
    assert plain_layer(layer, "Net") is layer


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: prune.l1_unstructured(linear(), "weight", amount=0.5), r"a forward pre-hook \(L1Unstructured\)"),
        (lambda: parametrizations.weight_norm(linear()), "Net has ParametrizedLinear as its output layer"),
        (with_backward_hook, "Net computes more .* the output layer has a backward hook"),
        (own_forward, "the output layer has a `forward` of its own"),
        (computed, "the weight of the output layer is no plain parameter but a Tensor of torch.float32"),
        (of_whole_numbers, "the weight of the output layer is no plain parameter but a Parameter of torch.int8"),
        (
            lambda: torch.ao.nn.qat.Linear(4, 6, qconfig=torch.ao.quantization.get_default_qat_qconfig()),
            "has torch.ao.nn.qat.modules.linear.Linear as its output layer",
        ),
    ],
)
def test_what_is_more_than_a_weight_is_named(build, reason):
    with pytest.raises(ValueError, match=reason):
        plain_layer(build(), "Net")


def test_hooks_of_all_modules_are_named():
    handle = modules_of_torch.register_module_forward_hook(lambda module, inputs, output: None)
    try:
        with pytest.raises(ValueError, match="Net computes more .*: all modules have a forward hook"):
            check_no_hooks([linear()], "Net", "the network")
    finally:
        handle.remove()


def test_moving_inputs_between_devices_is_no_computation():
    hooks = pytest.importorskip("accelerate.hooks")
    layer = hooks.add_hook_to_module(linear(), hooks.AlignDevicesHook(execution_device="cpu"))
    assert plain_layer(layer, "Net") is layer


def split_layers():
    """Which of two layers in pieces on ranks count as split, FSDP's and tensor parallelism's; types of their heads."""
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor.parallel import ColwiseParallel, parallelize_module

    with ranks() as mesh:
        sharded, split = (nn.Sequential(nn.Linear(2, 4)) for _ in range(2))
        fully_shard(sharded, mesh=mesh)
        parallelize_module(split, mesh, {"0": ColwiseParallel(use_local_output=False)})
        layers = [plain_layer(network[0], "Net") for network in (sharded, split)]
        found = [is_split_by_rows(layer) for layer in layers]
        found += [type(SeparateHead(nn.Identity(), layer).head().weight).__name__ for layer in layers]
        split[0].register_forward_hook(lambda *_: None)
        with pytest.raises(ValueError, match="has a forward pre-hook"):
            plain_layer(split[0], "Net")
        return found


def test_a_layer_that_tensor_parallelism_has_split_stays_so_and_one_of_fsdp_is_gathered():
    assert on_ranks(split_layers, 1) == [[False, True, "Tensor", "DTensor"]]
