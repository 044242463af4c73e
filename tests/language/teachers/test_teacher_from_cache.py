import pytest
import torch

from lightning_abkd.functional import top_k_buckets
from lightning_abkd.language._batches import counted_positions
from lightning_abkd.language.teachers._language_teacher import LanguageTeacher
from tests.language._text import network
from tests.language._token_batches import BATCH, store

COUNTED = counted_positions(BATCH["labels"])
STUDENT = torch.zeros(4, 384)
ALL = slice(0, 4)


@pytest.fixture
def teacher():
    return LanguageTeacher(network(1))


def test_stored_hidden_states_give_the_teachers_logits(tmp_path, teacher):
    stored = store(tmp_path, "hidden", teacher, 8).answer(BATCH, COUNTED, None)
    live = teacher.answer(BATCH, COUNTED, None)
    torch.testing.assert_close(stored.compare(STUDENT, ALL)[1], live.compare(STUDENT, ALL)[1], rtol=0.02, atol=0.02)
    assert stored.hidden is None


def test_stored_classes_are_compared_as_buckets(tmp_path, teacher):
    cached = store(tmp_path, "top_k", teacher, 4)
    student, log_p = cached.answer(BATCH, COUNTED, None).compare(STUDENT.double(), ALL)
    ids, stored = cached.cache.top_k(BATCH["index"])
    torch.testing.assert_close(student, top_k_buckets(STUDENT.double(), ids))
    assert torch.equal(log_p, stored.double())


def test_stored_outputs_of_other_tokens_are_refused(tmp_path, teacher):
    cached = store(tmp_path, "hidden", teacher, 8)
    with pytest.raises(ValueError, match="Found 2 stored tokens and 4 counted ones"):
        cached.comparison(torch.tensor([0, 0]), 4)
