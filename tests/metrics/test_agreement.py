import pytest
import torch
from torch import nan

from lightning_abkd.metrics import TeacherAgreement

STUDENT = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 5.0]])
TEACHER = torch.tensor([[9.0, 0.0], [1.0, 0.0], [3.0, 4.0]])


def test_counts_equal_decisions() -> None:
    metric = TeacherAgreement()
    metric.update(STUDENT, TEACHER)
    assert metric.compute() == pytest.approx(2 / 3)


def test_masked_positions_do_not_count_even_when_nan() -> None:
    metric = TeacherAgreement()
    metric.update(STUDENT, TEACHER.index_fill(0, torch.tensor([0]), nan), mask=torch.tensor([False, True, True]))
    assert metric.compute() == 0.5


def test_takes_tokens() -> None:
    metric = TeacherAgreement()
    metric.update(STUDENT.expand(4, 3, 2), TEACHER.expand(4, 3, 2), mask=torch.ones(4, 3))
    assert metric.compute() == pytest.approx(2 / 3)


def test_is_nan_while_nothing_counts() -> None:
    metric = TeacherAgreement()
    metric.update(STUDENT, TEACHER, mask=torch.zeros(3, dtype=torch.bool))
    assert metric.compute().isnan()


def test_reset_forgets() -> None:
    metric = TeacherAgreement()
    metric.update(STUDENT, TEACHER)
    metric.reset()
    metric.update(STUDENT, STUDENT)
    assert metric.compute() == 1


def test_shapes_must_fit() -> None:
    with pytest.raises(ValueError, match=r"`teacher_logits` should have the same shape. .* Cut a padded vocabulary"):
        TeacherAgreement().update(STUDENT, TEACHER[:, :1])
    with pytest.raises(ValueError, match=r"`mask` should have the shape of the positions, \(3,\)"):
        TeacherAgreement().update(STUDENT, TEACHER, mask=torch.ones(3, 2))
