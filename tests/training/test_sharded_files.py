import pytest
import torch
from torch import nn

from lightning_abkd.training._sharded_files import _by_names, write_sharded


class Alone:
    """What `write_sharded` takes of a strategy, on one process."""

    is_global_zero = True

    def barrier(self):
        pass

    def broadcast(self, value):
        return value


def shards(content, folder):
    folder.mkdir()
    for name, text in content.items():
        (folder / name).write_text(text)


def test_a_folder_takes_the_place_of_the_former_one_when_it_is_whole(tmp_path):
    path = tmp_path / "runs" / "a.ckpt"
    for text in ("first", "second"):
        write_sharded(Alone(), shards, {"meta.pt": text, ".metadata": ""}, path)
    assert (path / "meta.pt").read_text() == "second"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_leaves_the_former_folder(tmp_path):
    path = tmp_path / "a.ckpt"
    write_sharded(Alone(), shards, {"meta.pt": "first", ".metadata": ""}, path)

    def fail(content, folder):
        shards(content, folder)
        raise RuntimeError("Traceback of rank 0: OSError: [Errno 28] No space left on device")

    with pytest.raises(OSError, match="The disk is full: .*a.ckpt needs more"):
        write_sharded(Alone(), fail, {"meta.pt": "second"}, path)
    assert (path / "meta.pt").read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_numbers_of_an_optimizer_become_names_in_the_order_of_its_groups():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    net[0].bias.requires_grad_(False)
    optimizer = torch.optim.SGD([{"params": net[1].parameters()}, {"params": [net[0].weight], "lr": 0.5}], lr=0.1)
    state = {"state": {1: {"step": 3}}, "param_groups": [{"params": [0]}, {"params": [1], "lr": 0.5}]}
    named = _by_names(state, optimizer, net)
    assert named["state"] == {"0.weight": {"step": 3}}
    assert [group["params"] for group in named["param_groups"]] == [["1.weight"], ["0.weight"]]
