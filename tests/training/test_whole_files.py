import os
import resource

import pytest
import torch

from lightning_abkd.training._whole_files import save_whole, saved_size
from tests._processes import Rank

BIG = {"weight": torch.zeros(200_000)}


def save_onto_a_full_disk(path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        save_whole(BIG, path)
    except OSError as error:
        return str(error)


def test_the_size_is_that_of_the_file(tmp_path):
    save_whole(BIG, path := tmp_path / "a.pt")
    assert saved_size(BIG) == pytest.approx(path.stat().st_size, abs=100)
    assert torch.equal(torch.load(path)["weight"], BIG["weight"])
    assert os.listdir(tmp_path) == ["a.pt"]


def test_a_full_disk_is_one_sentence_and_leaves_the_former_file(tmp_path):
    save_whole({"weight": torch.ones(2)}, path := tmp_path / "a.pt")
    said = Rank(save_onto_a_full_disk, (path,)).result()
    assert f"{path} needs 0.8 MB" in said
    assert "What was there before is as it was." in said
    assert torch.load(path)["weight"].sum() == 2
    assert os.listdir(tmp_path) == ["a.pt"]
