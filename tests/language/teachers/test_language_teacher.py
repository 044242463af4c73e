import copy

from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from lightning_abkd.models import separate_head
from tests.language._text import network


def test_copies_share_the_separated_teacher():
    teacher = LanguageTeacher(network(0))
    teacher.separate = separate_head(teacher.network)
    assert copy.deepcopy(teacher).separate is teacher.separate


def test_a_teacher_is_whole_at_first_and_frozen():
    teacher = LanguageTeacher(network(0), "bfloat16")
    assert teacher.separate is None
    assert teacher.own_precision
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())
