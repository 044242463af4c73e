import copy

import torch

from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from tests.language._text import network
from tests.language._token_batches import BATCH

# The place of the one counted token of the second sample in the flattened batch.
COUNTED = torch.tensor([6])


def test_copies_share_the_separated_teacher():
    teacher = LanguageTeacher(network(0))
    assert copy.deepcopy(teacher).take_apart() is teacher.take_apart()


def test_a_teacher_is_frozen():
    teacher = LanguageTeacher(network(0), "bfloat16")
    assert teacher.own_precision
    assert not any(parameter.requires_grad for parameter in teacher.network.parameters())


def test_an_answer_compares_with_the_networks_logits():
    teacher = LanguageTeacher(network(0))
    answer = teacher.answer(BATCH, COUNTED, 300)
    found = answer.compare(torch.zeros(1, 300), slice(0, 1))[1]
    expected = teacher.network(BATCH["input_ids"], attention_mask=BATCH["attention_mask"]).logits[1, 1:2, :300]
    torch.testing.assert_close(found, expected)
    assert answer.hidden.shape == (1, 8)


def test_the_head_runs_in_the_precision_of_the_backbone():
    own, shared = LanguageTeacher(network(0), "float32"), LanguageTeacher(network(0))
    with torch.autocast("cpu", torch.bfloat16):
        heads = [teacher._head(teacher.take_apart(), None) for teacher in (own, shared)]
    assert [head.weight.dtype for head in heads] == [torch.float32, torch.bfloat16]
