import torch

from lightning_abkd.losses import OutputHead
from lightning_abkd.losses.hidden._teacher_head import TeacherHead


def test_logits_are_those_of_the_rows():
    hidden, head = torch.randn(5, 3), OutputHead(torch.randn(4, 3))
    student = torch.zeros(2, 4)
    kept, teacher = TeacherHead(hidden, head)(student, slice(1, 3))
    assert kept is student
    torch.testing.assert_close(teacher, head.logits(hidden[1:3]))


def test_the_next_call_of_as_many_rows_overwrites_them():
    compare = TeacherHead(torch.randn(5, 3), OutputHead(torch.randn(4, 3)))
    first = compare(torch.zeros(2, 4), slice(0, 2))[1]
    assert compare(torch.zeros(2, 4), slice(2, 4))[1] is first
    assert compare(torch.zeros(1, 4), slice(4, 5))[1].shape == (1, 4)
