import pytest
import torch
from jsonargparse import ArgumentParser
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel

from lightning_abkd.models import load_pretrained, load_weights, save_weights


def network(seed=0, width=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))


def same(first, second):
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def prefixed(prefix):
    return {f"{prefix}{name}": tensor for name, tensor in network(1).state_dict().items()}


@pytest.mark.parametrize(
    "content",
    [
        prefixed(""),
        {"state_dict": prefixed("student.") | {"divergence.alpha": torch.zeros(())}},
        {"state_dict": prefixed("model.")},
        {"state_dict": prefixed("net._orig_mod.")},
        {"model": prefixed("module."), "epoch": 240},
        {"state_dict": prefixed("student._orig_mod.")},
    ],
    ids=["plain", "ours", "foreign", "compiled", "repdistiller", "ours-compiled"],
)
def test_every_layout_of_the_field_loads(tmp_path, content):
    torch.save(content, path := tmp_path / "weights.ckpt")
    assert same(load_weights(network(), path), network(1))


def test_safetensors_load(tmp_path):
    save_file(network(1).state_dict(), path := tmp_path / "weights.safetensors")
    assert same(load_weights(network(), path), network(1))


def test_a_prefix_chooses_one_of_two_networks(tmp_path):
    other = {f"ema.{name}": tensor for name, tensor in network(2).state_dict().items()}
    torch.save(prefixed("net.") | other, path := tmp_path / "two.pt")
    assert same(load_weights(network(), path, prefix="ema."), network(2))
    with pytest.raises(ValueError, match="prefix"):
        load_weights(network(), path)


def test_factory_is_a_class_path_for_a_network(tmp_path):
    mlp = {"class_path": "torchvision.ops.MLP", "init_args": {"in_channels": 4, "hidden_channels": [3]}}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--net", type=nn.Module)
    torch.save(torch.nn.Sequential(nn.Linear(4, 3)).state_dict(), path := tmp_path / "mlp.pt")
    init_args = {"network": mlp, "checkpoint": str(path)}
    config = parser.parse_object(
        {"net": {"class_path": "lightning_abkd.models.load_pretrained", "init_args": init_args}}
    )
    weight = parser.instantiate(config).net[0].weight
    torch.testing.assert_close(weight.detach(), torch.load(path)["0.weight"])


def test_missing_file_names_what_is_there(tmp_path):
    torch.save(prefixed(""), tmp_path / "best.ckpt")
    with pytest.raises(FileNotFoundError, match="should be the path of a file.*best.ckpt"):
        load_pretrained(network(), str(tmp_path / "bset.ckpt"))


@pytest.mark.parametrize("name", ["broken.ckpt", "broken.safetensors"])
def test_corrupted_file_says_so(tmp_path, name):
    (path := tmp_path / name).write_bytes(b"not a checkpoint" * 100)
    with pytest.raises(ValueError, match="could not be read"):
        load_weights(network(), path)


def test_truncated_file_says_so(tmp_path):
    torch.save(prefixed(""), path := tmp_path / "cut.ckpt")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="could not be read"):
        load_weights(network(), path)


def test_another_architecture_lists_the_first_mismatches(tmp_path):
    torch.save(network(width=5).state_dict(), path := tmp_path / "wide.pt")
    with pytest.raises(ValueError, match=r"(?s)should have the architecture.*0.weight.*\(5, 4\).*\(3, 4\)"):
        load_weights(network(), path)
    assert same(before := network(), before)


def test_nothing_is_loaded_from_a_mismatch(tmp_path):
    wide = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(5))
    torch.save(wide.state_dict(), path := tmp_path / "wide.pt")
    with pytest.raises(ValueError, match="1.weight"):
        load_weights(net := network(), path)
    assert same(net, network())


def test_file_that_needs_pickle_says_how_to_convert_it(tmp_path):
    torch.save({"state_dict": prefixed(""), "model": network()}, path := tmp_path / "object.pt")
    with pytest.raises(ValueError, match=r"needs pickle to run code.*convert it once"):
        load_weights(network(), path)


def test_file_without_weights_says_so(tmp_path):
    torch.save({"epoch": 3}, path := tmp_path / "empty.pt")
    with pytest.raises(ValueError, match="empty.pt"):
        load_weights(network(), path)


@pytest.mark.parametrize("name", ["new/weights.pt", "new/weights.safetensors"])
def test_saved_weights_load_again(tmp_path, name):
    path = save_weights(network(1), tmp_path / name)
    assert same(load_weights(network(), path), network(1))


class Remembers(nn.Module):
    def __init__(self, remembered):
        super().__init__()
        self.remembered = remembered
        self.weight = nn.Parameter(torch.ones(2))

    def get_extra_state(self):
        return {"remembered": self.remembered}

    def set_extra_state(self, state):
        self.remembered = state["remembered"]


def test_extra_state_is_written_and_read(tmp_path):
    path = save_weights(Remembers(3), tmp_path / "extra.pt")
    assert load_weights(Remembers(0), path).remembered == 3
    with pytest.raises(ValueError, match="Found `_extra_state`, dict. Write a .pt file"):
        save_weights(Remembers(3), tmp_path / "extra.safetensors")


def test_a_network_without_weights_takes_none(tmp_path):
    path = save_weights(network(1), tmp_path / "weights.pt")
    with pytest.raises(ValueError, match="7 unexpected in the file"):
        load_weights(nn.Flatten(), path)


def test_a_network_without_memory_says_so(tmp_path):
    path = save_weights(network(1), tmp_path / "weights.pt")
    with torch.device("meta"):
        empty = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(ValueError, match=r"Found `0.weight` on the device meta. Call `network.to_empty"):
        load_weights(empty, path)


def test_a_lazy_network_takes_the_shapes_of_the_file(tmp_path):
    path = save_weights(nn.Sequential(nn.Linear(4, 3)), tmp_path / "weights.pt")
    assert load_weights(nn.Sequential(nn.LazyLinear(3)), path)[0].weight.shape == (3, 4)


def test_files_of_old_torch_are_read(tmp_path):
    torch.save(prefixed("module."), path := tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert same(load_weights(network(), path), network(1))


def test_wrapped_networks_are_filled(tmp_path):
    path = save_weights(network(1), tmp_path / "weights.pt")
    averaged = AveragedModel(torch.compile(network()))
    assert same(load_weights(averaged, path).module._orig_mod, network(1))
    assert averaged.n_averaged == 0
