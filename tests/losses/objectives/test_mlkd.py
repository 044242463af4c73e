import pytest
import torch

from lightning_abkd.losses import MLKD, AlphaBetaDivergence, ForwardKL
from lightning_abkd.losses.objectives._mlkd import _shares
from tests._asserts import logits
from tests._losses import assert_loss, pair
from tests._vectors import METHODS

CASE = METHODS["MLKD"]


def views(size=4, classes=6):
    return [logits(size, classes, seed=seed) for seed in range(4)]


def test_is_a_loss():
    weak, teacher, *strong = views()
    of_strong = ("student_logits_strong", "teacher_logits_strong")
    zero = pair(teacher, teacher) | dict.fromkeys(of_strong, strong[0])
    assert_loss(MLKD, pair(weak, teacher) | dict(zip(of_strong, strong, strict=True)), zero)


def test_agrees_with_the_released_code():
    names = [f"{network}_logits_{view}" for view in ("weak", "strong") for network in ("student", "teacher")]
    weak, strong = torch.tensor([CASE["inputs"][name] for name in names], dtype=torch.float64).split(2)
    # The released code shows the weak view to the strong terms at 2 and 6.
    value = MLKD(temperatures=(4.0, 3.0, 5.0))(*weak, *strong)
    value = value + MLKD(temperatures=(2.0, 6.0))(*weak, *weak)
    expected = sum(CASE["expected"][name] for name in ("loss_kd", "loss_cc", "loss_bc"))
    assert 0.9 * value.item() == pytest.approx(expected, rel=1e-7)


def test_strong_terms_see_the_strong_view():
    weak_student, weak_teacher, *strong = views()
    loss = MLKD(temperatures=(2.0,))
    rest = loss(weak_student, weak_teacher, strong[0], strong[0])
    expected = ForwardKL(2.0, scale_by_temperature=True)(*strong)
    torch.testing.assert_close(loss(weak_student, weak_teacher, *strong) - rest, expected)


def test_any_divergence_stands_inside():
    weak, strong = views()[:2], views()[2:]
    loss = MLKD(AlphaBetaDivergence(0.8, 0.3), temperatures=(4.0,))
    rest = loss(*weak, strong[0], strong[0])
    expected = AlphaBetaDivergence(0.8, 0.3, temperature=4.0)(*strong)
    torch.testing.assert_close(loss(*weak, *strong) - rest, expected)


def test_gradient_is_the_numerical_one():
    weak, teacher, strong, strong_teacher = views(3, 5)
    inputs = (weak.requires_grad_(), teacher.requires_grad_(), strong.requires_grad_())
    assert torch.autograd.gradcheck(lambda a, b, c: MLKD()(a, b, c, strong_teacher), inputs)


def test_it_asks_for_both_views():
    assert MLKD().required_signals[2:] == ("student_logits_strong", "teacher_logits_strong")


def test_temperatures_are_some_and_positive():
    with pytest.raises(ValueError, match="`temperatures` should hold at least one"):
        MLKD(temperatures=())
    with pytest.raises(ValueError, match="`temperatures` should be finite and greater than 0"):
        MLKD(temperatures=(4.0, 0.0))


def test_inner_reduction_must_be_the_mean():
    with pytest.raises(ValueError, match="should have the reduction 'mean'. Found 'none'"):
        MLKD(ForwardKL(reduction="none"))


def test_shapes_of_both_views_are_checked():
    weak = [torch.zeros(2, 3)] * 2
    with pytest.raises(ValueError, match="same number of classes"):
        MLKD()(*weak, torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize(("size", "share"), [(4, 0.5), (7, 4 / 7), (1, 1.0)])
def test_weak_divergence_counts_as_the_share_of_samples_at_or_below_the_median(size, share):
    weak_student, weak_teacher, *strong = views(size)
    loss = MLKD(ForwardKL(), temperatures=(1.0,))
    with_weak = loss(weak_student, weak_teacher, *strong)
    with_other = loss(weak_student, weak_teacher, weak_student, weak_teacher)
    once = ForwardKL()(weak_student, weak_teacher)
    matrices = with_other - (1 + share) * once
    torch.testing.assert_close(with_weak, share * once + ForwardKL()(*strong) + matrices)
    q, p = weak_student.softmax(-1), weak_teacher.softmax(-1)
    of_samples = share * (q @ q.T - p @ p.T).square().sum() / size
    of_classes = 0.5 * (q.T @ q - p.T @ p).square().sum() / 6
    torch.testing.assert_close(matrices, of_samples + of_classes)


def test_shares_of_classes_count_ties_as_the_released_code_does():
    # Of three classes with the sums 1, 1 and 2 the median is 1, so that two are at or below it.
    logits_of_teacher = torch.tensor([[1.0, 1.0, 2.0]]).log()
    assert _shares(logits_of_teacher).classes.item() == pytest.approx(2 / 3)
