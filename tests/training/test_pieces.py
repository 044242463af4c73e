import torch
from torch import nn

from lightning_abkd.training._pieces import has_pieces, is_sharded, local_part, whole_state
from tests._processes import on_ranks
from tests.training._training import module


def states():
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    from lightning_abkd.training._sharding import shard

    dist.init_process_group("gloo")
    net = module()
    expected = {name: value.clone() for name, value in net.state_dict().items()}
    shard(net, net.student, init_device_mesh("cpu", (2,)))
    # Its own names and pieces load again.
    net.load_state_dict(net.state_dict())
    found = whole_state(net)
    dist.destroy_process_group()
    return [name for name, value in expected.items() if name not in found or not torch.equal(value, found[name])]


def test_the_state_of_pieces_is_that_of_the_whole_and_loads_again():
    first, second = on_ranks(states, 2)
    assert first == []
    # Only the first rank has it.
    assert len(second) > 4


def test_whole_networks_have_no_pieces():
    network = nn.Linear(2, 2)
    assert not is_sharded(network)
    assert not has_pieces(network)
    assert local_part(network.weight) is network.weight
