import torch

from lightning_abkd.kernels import LogitRows
from tests._asserts import logits


def test_log_probabilities_are_those_at_the_temperature():
    student, teacher = logits(4, 9), logits(4, 9, seed=1)
    rows = LogitRows(student, teacher, torch.tensor(2.0))
    torch.testing.assert_close(rows.log_q, (student / 2.0).log_softmax(-1))
    torch.testing.assert_close(rows.log_p, (teacher / 2.0).log_softmax(-1))


def test_log_probabilities_are_computed_once():
    rows = LogitRows(logits(4, 9), logits(4, 9, seed=1), torch.tensor(1.0))
    assert rows.log_p is rows.log_p
    assert rows.log_q is rows.log_q


def test_half_precision_is_promoted_and_the_rest_kept():
    rows = LogitRows(logits(4, 9).bfloat16(), logits(4, 9), torch.tensor(1.0))
    assert (rows.student_logits.dtype, rows.teacher_logits.dtype) == (torch.float32, torch.float64)
    single = logits(4, 9).float()
    assert LogitRows(single, single, torch.tensor(1.0)).student_logits is single
