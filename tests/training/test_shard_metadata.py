import os
import pickle
import warnings

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch import nn

from lightning_abkd.training import METADATA, check_metadata


class Calls:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "half": torch.ones(2).bfloat16()}
    folder = tmp_path_factory.mktemp("shards")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def test_what_torch_writes_passes(shards):
    check_metadata(shards)


# The second reaches a function through a module that is allowed, the third through one of its imports.
@pytest.mark.parametrize(
    "data",
    [
        pickle.dumps(Calls(os.system, ("touch called",))),
        b"\x80\x04\x8c\x27torch.distributed.checkpoint.filesystem\x8c\x09os.system\x93\x8c\x0ctouch called\x85R.",
        b"\x80\x04\x8c\x25torch.distributed.checkpoint.metadata\x8c\x02os\x93.",
        b"\x80\x04\x8c\x05torch\x8c\x04load\x93\x8c\x01x\x85R.",
    ],
)
def test_metadata_that_call_something_are_refused(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    (tmp_path / METADATA).write_bytes(data)
    with pytest.raises(ValueError, match="describe tensors only|have whole metadata"):
        check_metadata(tmp_path)
    assert not (tmp_path / "called").exists()


def test_broken_metadata_are_one_sentence(tmp_path, shards):
    (tmp_path / METADATA).write_bytes((shards / METADATA).read_bytes()[:-20])
    with pytest.raises(ValueError, match="should have whole metadata. Found .* which cannot be read"):
        check_metadata(tmp_path)
