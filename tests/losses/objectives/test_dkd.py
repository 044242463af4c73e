import pytest
import torch

from lightning_abkd.losses import DKD, AlphaBetaDivergence, ForwardKL
from tests._asserts import logits
from tests._losses import assert_loss, pair
from tests._vectors import METHODS, logits_of


def test_is_a_loss():
    student, teacher, labels = logits(4, 7), logits(4, 7, seed=1), {"labels": torch.tensor([0, 2, 5, 2])}
    assert_loss(DKD, pair(student, teacher) | labels, zero=pair(teacher, teacher) | labels)


@pytest.mark.parametrize(
    ("name", "divergence"),
    [("DKD", None), ("DKD_ABDKD", AlphaBetaDivergence(0.8, 0.2, temperature=4.0, scale_by_temperature=True))],
)
def test_agrees_with_the_released_code(name, divergence):
    case = METHODS[name]
    student, teacher = logits_of(case)
    value = DKD(divergence)(student, teacher, torch.tensor(case["inputs"]["labels"]))
    # α and β are float32 buffers; official values have nine digits.
    assert value.item() == pytest.approx(case["expected"], rel=1e-7)


def test_parts_with_the_teachers_weights_make_up_forward_kl():
    student, teacher, labels = logits(5, 7).requires_grad_(), logits(5, 7, seed=1), torch.arange(5)
    binary = DKD(ForwardKL(), 1.0, 0.0)(student, teacher, labels)
    rest = 1.0 - teacher.softmax(-1)[torch.arange(5), labels]
    keep = ~torch.nn.functional.one_hot(labels, 7).bool()
    others = ForwardKL(reduction="none")(student[keep].view(5, 6), teacher[keep].view(5, 6))
    torch.testing.assert_close(binary + (rest * others).mean(), ForwardKL()(student, teacher))


def test_gradients_are_the_numerical_ones_for_student_and_teacher():
    pair = logits(4, 5).requires_grad_(), logits(4, 5, seed=1).requires_grad_()
    loss, labels = DKD(ForwardKL(2.0, scale_by_temperature=True)), torch.tensor([0, 2, 4, 4])
    assert torch.autograd.gradcheck(lambda student, teacher: loss(student, teacher, labels), pair)


def test_order_of_classes_does_not_matter():
    student, teacher, labels = logits(5, 7), logits(5, 7, seed=1), torch.arange(5)
    value = DKD()(student, teacher, labels)
    torch.testing.assert_close(DKD()(student.flip(-1), teacher.flip(-1), 6 - labels), value)


def test_labels_must_fit_the_batch():
    with pytest.raises(ValueError, match=r"`labels` should have shape \(2,\). Found \(3,\)"):
        DKD()(torch.zeros(2, 4), torch.zeros(2, 4), torch.zeros(3, dtype=torch.long))


def test_labels_are_indices_of_any_dtype_and_no_probabilities():
    student, teacher, labels = logits(4, 4), logits(4, 4, seed=1), torch.tensor([0, 2, 3, 1])
    torch.testing.assert_close(DKD()(student, teacher, labels.int()), DKD()(student, teacher, labels))
    with pytest.raises(ValueError, match=r"Found \(4, 4\) of dtype torch.float.* DKD takes class indices, and no prob"):
        DKD()(student, teacher, student.softmax(-1))


def test_inner_reduction_must_be_the_mean():
    with pytest.raises(ValueError, match="should have the reduction 'mean'. Found 'sum'"):
        DKD(ForwardKL(reduction="sum"))


def test_labels_are_a_required_signal():
    assert DKD().required_signals == ("student_logits", "teacher_logits", "labels")
