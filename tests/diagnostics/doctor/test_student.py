import torch
from torch import nn

from lightning_abkd.diagnostics.doctor._student import frozen_by_its_code, teacher_bytes, trained


def test_trained_parameters_are_counted_with_their_share():
    network = nn.Sequential(nn.Linear(9, 9), nn.Linear(9, 1))
    assert trained(network).text == "100 of 100 (100 %)"
    network[0].requires_grad_(False)
    assert trained(network).text == "10 of 100 (10 %)"


def test_a_frozen_student_is_red():
    assert trained(nn.Linear(2, 1).requires_grad_(False)).text.startswith("Frozen student: none of its 3 parameters")
    assert frozen_by_its_code().is_red


def test_teacher_bytes_are_those_of_its_own_memory():
    student, teacher = nn.Linear(2, 2), nn.Linear(2, 2)
    clean = {"state_dict": student.state_dict(), "optimizer_states": [{"state": torch.zeros(4)}]}
    assert teacher_bytes(clean, student, teacher).text == "0 of 40 B"
    kept = {"callbacks": {"mine": [teacher.weight.detach()]}, **clean}
    # Four numbers of four bytes.
    assert teacher_bytes(kept, student, teacher).text.startswith("Teacher in the checkpoint: 16 B of 56 B")


def test_equal_weights_in_other_memory_are_not_the_teachers():
    student, teacher = nn.Linear(2, 2), nn.Linear(2, 2)
    student.load_state_dict(teacher.state_dict())
    assert not teacher_bytes({"state_dict": student.state_dict()}, student, teacher).is_red
