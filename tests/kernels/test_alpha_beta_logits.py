import pytest
import torch

from lightning_abkd.kernels import (
    AlphaBetaStatistics,
    alpha_beta_from_logits,
    alpha_beta_statistics,
)
from tests.kernels._triton import DEVICE, eager, needs_triton, poisoned, rows

pytestmark = [needs_triton, pytest.mark.usefixtures("poisoned")]
__all__ = ["poisoned"]


def test_numbers_may_be_tensors_of_all_or_each_position():
    student, teacher = rows(6, 20).view(2, 3, 20), rows(6, 20, seed=1).view(2, 3, 20)
    alpha, beta = torch.rand(2, 3, device=DEVICE), torch.rand(2, 1, device=DEVICE)
    temperature = torch.tensor(2.0, dtype=torch.float64, device=DEVICE)
    values = alpha_beta_from_logits(student, teacher, alpha, beta, temperature)
    for i in range(2):
        for j in range(3):
            one = alpha_beta_from_logits(student[i, j], teacher[i, j], alpha[i, j].item(), beta[i, 0].item(), 2.0)
            torch.testing.assert_close(values[i, j], one)


def test_numbers_are_live():
    student, teacher, alpha = rows(2, 9), rows(2, 9, seed=1), torch.tensor(1.0, device=DEVICE)
    before = alpha_beta_from_logits(student, teacher, alpha, 0.1)
    alpha.fill_(0.3)
    torch.testing.assert_close(
        alpha_beta_from_logits(student, teacher, alpha, 0.1), alpha_beta_from_logits(student, teacher, 0.3, 0.1)
    )
    assert not before.equal(alpha_beta_from_logits(student, teacher, alpha, 0.1))


@pytest.mark.parametrize("inplace", [False, True])
def test_masked_rows_are_not_read(inplace):
    student, teacher = rows(4, 3000), rows(4, 3000, seed=1)
    mask = torch.tensor([[True, False], [False, True]], device=DEVICE)
    expected = eager(student, teacher, 0.2, 0.7)
    with torch.no_grad():
        student[1], teacher[2] = torch.nan, torch.nan
    shaped = student.view(2, 2, -1) * 1.0, teacher.view(2, 2, -1)
    values = alpha_beta_from_logits(*shaped, 0.2, 0.7, mask=mask, inplace=inplace)
    (values.sum() + values.square().sum() * 0).backward()
    counted = mask.view(-1, 1)
    torch.testing.assert_close(values.view(-1).double(), expected[0] * mask.view(-1), rtol=1e-5, atol=0)
    for ours, exact in zip((student.grad, teacher.grad), expected[1:], strict=True):
        torch.testing.assert_close(ours.double(), exact.where(counted, 0.0), rtol=1e-5, atol=1e-6)


def test_no_rows_give_no_values():
    student = rows(0, 5)
    alpha_beta_from_logits(student, rows(0, 5), 0.2, 0.7).sum().backward()
    assert student.grad.shape == (0, 5)


def test_statistics_come_with_the_value():
    student, teacher = rows(6, 2500).view(2, 3, -1), rows(6, 2500, seed=1).view(2, 3, -1)
    with torch.no_grad():
        student[0, :2, 2400] = teacher[0, 0, 2400] = 20.0
        student[:, :, 5] = teacher[:, :, 5] = -torch.inf
    found = alpha_beta_statistics(student, teacher, 0.2, 0.7, 2.0)
    u, v = ((x.detach().double() / 2.0).log_softmax(-1) for x in (teacher, student))
    expected = AlphaBetaStatistics(
        value=eager(student, teacher, 0.2, 0.7, 2.0)[0],
        student_entropy=torch.special.entr(v.exp()).sum(-1),
        teacher_entropy=torch.special.entr(u.exp()).sum(-1),
        agreement=(u.argmax(-1) == v.argmax(-1)).double(),
        cross_power=(0.2 * u + 0.7 * v).exp().sum(-1),
        student_power=(0.9 * v).exp().sum(-1),
        teacher_power=(0.9 * u).exp().sum(-1),
    )
    assert expected.agreement[0].tolist() == [1, 0, 0]
    for ours, exact in zip(found, expected, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=2e-6, atol=0)
    assert [x.requires_grad for x in found] == [True] + 6 * [False]


def test_agreement_takes_the_first_of_equal_classes():
    student, teacher = torch.zeros(2, 3000, device=DEVICE), torch.zeros(2, 3000, device=DEVICE)
    teacher[1, 0] = -1.0
    assert alpha_beta_statistics(student, teacher, 0.2, 0.7).agreement.tolist() == [1.0, 0.0]


def test_statistics_of_masked_rows_are_zero():
    mask = torch.tensor([True, False], device=DEVICE)
    found = alpha_beta_statistics(rows(2, 9), rows(2, 9, seed=1), 0.2, 0.7, mask=mask)
    assert all(x[1] == 0 for x in found)
    assert found.student_entropy[0] > 0


def test_wrong_shapes_and_dtypes_are_named():
    two = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"the same shape. Found \(2, 3\) and \(2, 4\)"):
        alpha_beta_from_logits(two, torch.zeros(2, 4), 1, 0)
    with pytest.raises(TypeError, match="`teacher_logits` should be float32, bfloat16 or float16. Found torch.float64"):
        alpha_beta_from_logits(two, two.double(), 1, 0)
    with pytest.raises(ValueError, match=r"`mask` should be boolean of shape \(2,\). Found torch.int64"):
        alpha_beta_from_logits(two, two, 1, 0, mask=torch.ones(2, dtype=torch.int64))
