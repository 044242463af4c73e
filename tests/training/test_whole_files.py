import os
import resource

import pytest
import torch

from lightning_abkd.training._whole_files import save_whole, saved_size
from tests._processes import Rank
from tests.training._training import module, trainer

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


def test_a_student_within_the_teachers_memory_saves_its_own_part(tmp_path):
    teacher = torch.nn.Linear(5, 14)
    student = torch.nn.Linear(5, 7)
    student.weight = torch.nn.Parameter(teacher.weight.detach()[:7])
    run = trainer(tmp_path)
    run.strategy.connect(net := module(teacher=teacher, student=student))
    run.save_checkpoint(path := tmp_path / "a.ckpt")
    saved = [path, net.save_student(tmp_path / "a.pt"), net.save_student(tmp_path / "a.safetensors")]
    for content in map(type(path).read_bytes, saved):
        assert teacher.weight[6].detach().numpy().tobytes() in content
        assert teacher.weight[7].detach().numpy().tobytes() not in content
