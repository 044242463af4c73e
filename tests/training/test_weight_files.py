import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightning_abkd.training._weight_files import read_entries, write_weights

WHOLE = torch.arange(6.0)
KINDS = {
    "scalar": torch.tensor(3),
    "flag": torch.tensor([True, False]),
    "half": torch.tensor([1.5], dtype=torch.bfloat16),
    "eight": torch.tensor([0.5, -448.0]).to(torch.float8_e4m3fn),
    "turned": torch.arange(6.0).reshape(2, 3).T,
    "empty": torch.zeros(0, 3),
    "first": WHOLE[:2],
    "second": WHOLE[1:4],
    "phase": torch.tensor([1 + 2j]),
}


def same(first, second):
    return first.dtype == second.dtype and torch.equal(first.to(torch.complex128), second.to(torch.complex128))


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_every_kind_of_tensor_comes_back(tmp_path, suffix):
    write_weights(KINDS, path := tmp_path / f"all.{suffix}")
    read = load_file(path) if suffix == "safetensors" else torch.load(path)
    assert read.keys() == KINDS.keys()
    assert all(same(read[name], value) for name, value in KINDS.items())
    assert all(same(read_entries(path)[""][name], value) for name, value in KINDS.items())


def test_a_slice_takes_no_more_room_than_its_elements(tmp_path):
    write_weights({"part": torch.zeros(1_000_000)[:2]}, path := tmp_path / "part.pt")
    assert path.stat().st_size < 10_000


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_tied_tensors_are_written_once(tmp_path, suffix):
    weight = torch.ones(500, 500)
    write_weights({"embedding": weight, "head": weight}, path := tmp_path / f"tied.{suffix}")
    assert path.stat().st_size < 1_100_000
    assert sorted(read_entries(path)[""]) == ["embedding", "head"]


def test_metadata_name_what_is_tied(tmp_path):
    write_weights({"embedding": WHOLE, "head": WHOLE}, path := tmp_path / "tied.safetensors")
    with safe_open(path, "pt") as file:
        assert list(file.keys()) == ["embedding"]
        assert file.metadata() == {"format": "pt", "head": "embedding"}


@pytest.mark.filterwarnings("ignore:Validating sparse tensor invariants")
def test_sparse_tensors_are_refused_by_safetensors_alone(tmp_path):
    weights = {"adjacency": torch.eye(2).to_sparse()}
    with pytest.raises(ValueError, match=r"should hold dense tensors. Found `adjacency`, torch.sparse_coo"):
        write_weights(weights, tmp_path / "graph.safetensors")
    assert not list(tmp_path.iterdir())
    write_weights(weights, path := tmp_path / "graph.pt")
    assert torch.equal(torch.load(path)["adjacency"].to_dense(), torch.eye(2))


def test_weights_without_values_are_refused(tmp_path):
    with pytest.raises(ValueError, match="Found `lazy.weight` without any. Run the network"):
        write_weights({"lazy.weight": torch.nn.LazyLinear(2).weight}, tmp_path / "lazy.pt")


def test_a_file_is_read_by_what_it_holds(tmp_path):
    save_file({"weight": WHOLE}, tmp_path / "named.pt")
    assert torch.equal(read_entries(tmp_path / "named.pt")[""]["weight"], WHOLE)


def test_entries_are_named_as_in_the_file(tmp_path):
    content = {"model": {"w": WHOLE}, "optimizer": {"state": {0: {"exp_avg": WHOLE}}}, "epoch": 3, "loose": WHOLE}
    torch.save(content, path := tmp_path / "run.pt")
    assert {name: list(entry) for name, entry in read_entries(path).items()} == {"": ["loose"], "model": ["w"]}


def test_arguments_and_numbers_of_numpy_beside_weights_are_read(tmp_path):
    content = {"model": {"w": WHOLE}, "args": argparse.Namespace(lr=0.1), "best": np.float64(0.9), "n": np.int64(3)}
    torch.save(content, path := tmp_path / "checkpoint.pth")
    assert list(read_entries(path)) == ["model"]


def sharded(folder, suffix="safetensors"):
    stem = "model" if suffix == "safetensors" else "pytorch_model"
    names = [f"{stem}-0000{i}-of-00002.{suffix}" for i in (1, 2)]
    for name, key in zip(names, "ab", strict=True):
        (save_file if suffix == "safetensors" else torch.save)({key: WHOLE}, folder / name)
    index = {"metadata": {"total_size": 48}, "weight_map": dict(zip("ab", names, strict=True))}
    (path := folder / f"{stem}.{suffix}.index.json").write_text(json.dumps(index))
    return path


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_shards_are_read_by_their_index_and_by_their_folder(tmp_path, suffix):
    path = sharded(tmp_path, suffix)
    assert sorted(read_entries(path)[""]) == sorted(read_entries(tmp_path)[""]) == ["a", "b"]


def test_a_missing_shard_is_named(tmp_path):
    path = sharded(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match="Found no model-00002-of-00002.safetensors. Copy all shards"):
        read_entries(path)


def test_a_shard_without_a_tensor_of_the_index_is_named(tmp_path):
    path = sharded(tmp_path)
    save_file({"c": WHOLE}, tmp_path / "model-00002-of-00002.safetensors")
    with pytest.raises(ValueError, match=r"00002.safetensors should hold what .* says. Found no b in it"):
        read_entries(path)


@pytest.mark.parametrize("text", ["{", "{}", '{"weight_map": []}'])
def test_a_broken_index_is_named(tmp_path, text):
    (path := tmp_path / "model.safetensors.index.json").write_text(text)
    with pytest.raises(ValueError, match="index.json of . bytes|index.json of .. bytes"):
        read_entries(path)


def test_the_only_file_of_a_folder_is_read(tmp_path):
    torch.save({"w": WHOLE}, tmp_path / "last.ckpt")
    assert list(read_entries(tmp_path)[""]) == ["w"]
    torch.save({"w": WHOLE}, tmp_path / "best.ckpt")
    with pytest.raises(FileNotFoundError, match="there is: best.ckpt, last.ckpt"):
        read_entries(tmp_path)


def test_a_program_says_how_to_convert_it(tmp_path):
    torch.save(torch.nn.Linear(2, 1), path := Path(tmp_path / "network.pt"))
    with pytest.raises(ValueError, match=r"needs pickle to run code.*or `.state_dict\(\)` of what it loads"):
        read_entries(path)
