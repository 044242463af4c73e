from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path

import numpy
import torch
from torchvision import tv_tensors

from lightning_abkd.training._evidence import Look
from lightning_abkd.training._saved_batch import class_path, generator_states, plain, save_batches

Pair = namedtuple("Pair", "x y")


@dataclass
class Sample:
    image: torch.Tensor
    path: Path


def test_a_file_is_read_without_pickle(tmp_path):
    sample = Sample(tv_tensors.Image(torch.ones(1, 2, 2)), Path("a.png"))
    batch = {"pair": Pair(1, None), "sample": sample, "array": numpy.ones(2), "list": [(True, 0.5)], 3: "text"}
    look = Look(batch, 4, {"loss": torch.tensor(2.0)}, dict, generator_states())
    path = save_batches(tmp_path / "runs" / "a.pt", [look], {"step": 7})
    content = torch.load(path, weights_only=True)
    (saved,) = content["batches"]
    assert (content["step"], saved["batch_idx"], saved["losses"]) == (7, 4, {"loss": 2.0})
    assert torch.equal(saved["generators"]["cpu"], torch.get_rng_state())
    found = saved["batch"]
    assert (found["pair"], found["list"], found["3"]) == ({"x": 1, "y": None}, [(True, 0.5)], "text")
    assert found["sample"]["path"] == "a.png"
    assert type(found["sample"]["image"]) is torch.Tensor
    assert found["array"].tolist() == [1.0, 1.0]
    assert [file.name for file in path.parent.iterdir()] == ["a.pt"]


def test_a_tensor_is_saved_without_its_history():
    assert not plain(torch.ones(1, requires_grad=True) * 2).requires_grad


def test_class_paths_are_those_to_import():
    assert class_path(torch.nn.Linear(1, 1)) == "torch.nn.modules.linear.Linear"
    assert class_path(None) is None
