from tests._processes import on_ranks
from tests.training._training import module


def held_weights():
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    from lightning_abkd.training import has_pieces
    from lightning_abkd.training._sharding import shard

    dist.init_process_group("gloo")
    net = module()
    shard(net, net.student, init_device_mesh("cpu", (2,)))
    seen = [has_pieces(net)]
    net.hold_whole_weights()
    seen.append(has_pieces(net))
    if dist.get_rank() == 0:
        # The other rank runs nothing.
        net.student.eval()(net.student[0].weight[:2].detach())
    net.on_validation_end()
    seen.append(has_pieces(net))
    dist.destroy_process_group()
    return seen


def test_weights_that_are_held_are_whole_until_the_end():
    assert on_ranks(held_weights, 2) == [[True, False, True]] * 2


def test_nothing_is_held_where_no_weight_lies_in_pieces():
    net = module()
    net.hold_whole_weights()
    net.on_validation_end()
    assert net.training
