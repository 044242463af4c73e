import pytest
import torch

from lightning_abkd.losses import AlphaBetaDivergence, Divergence
from tests._asserts import logits


class SquaredGap(Divergence):
    def pointwise(self, log_p, log_q):
        return (log_p - log_q).square().sum(-1)


class Learnt(Divergence):
    def __init__(self):
        super().__init__()
        self.power = torch.nn.Parameter(torch.tensor(2.0))

    def pointwise(self, log_p, log_q):
        return (log_p - log_q).abs().pow(self.power).sum(-1)


def test_reductions_agree():
    student, teacher, mask = logits(6, 9), logits(6, 9, seed=1), torch.tensor([True] * 4 + [False] * 2)
    mean, total, none = (SquaredGap(reduction=r)(student, teacher, mask) for r in ("mean", "sum", "none"))
    torch.testing.assert_close(none.sum(), total)
    torch.testing.assert_close(total / 4, mean)
    assert none.shape == (6,)
    assert (none[4:] == 0).all()


def test_temperature_and_its_square_scale_as_in_the_literature():
    student, teacher = logits(6, 9), logits(6, 9, seed=1)
    plain = SquaredGap()(student / 4, teacher / 4)
    torch.testing.assert_close(SquaredGap(temperature=4.0)(student, teacher), plain)
    torch.testing.assert_close(SquaredGap(temperature=4.0, scale_by_temperature=True)(student, teacher), 16 * plain)


@pytest.mark.parametrize("loss", [SquaredGap(), AlphaBetaDivergence(), Learnt()])
def test_empty_mask_gives_a_connected_zero(loss):
    student = logits(3, 5).float().requires_grad_()
    value = loss(student, logits(3, 5, seed=1).float(), torch.zeros(3, dtype=torch.bool))
    value.backward()
    assert value == 0
    assert (student.grad == 0).all()


def test_empty_batch_gives_a_connected_zero():
    student = torch.zeros(0, 5, requires_grad=True)
    value = AlphaBetaDivergence()(student, torch.zeros(0, 5))
    value.backward()
    assert value == 0


def test_teacher_and_learnt_parameters_receive_gradients_when_asked_for():
    loss, teacher = Learnt(), logits(4, 5, seed=1).requires_grad_()
    loss(logits(4, 5).requires_grad_(), teacher).backward()
    assert loss.power.grad.abs() > 0
    assert teacher.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_logits_are_evaluated_in_single(dtype):
    student, teacher = logits(4, 9).to(dtype).requires_grad_(), logits(4, 9, seed=1).to(dtype)
    value = AlphaBetaDivergence(0.2, 0.7)(student, teacher)
    value.backward()
    assert value.dtype == torch.float32
    assert student.grad.dtype == dtype
    torch.testing.assert_close(value, AlphaBetaDivergence(0.2, 0.7)(student.float(), teacher.float()))


def test_no_gradient_is_kept_where_none_is_needed():
    assert not SquaredGap()(logits(2, 3), logits(2, 3, seed=1)).requires_grad


def test_subclass_without_pointwise_says_what_to_define():
    with pytest.raises(NotImplementedError, match="Divergence should define pointwise"):
        Divergence()(torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperature_must_be_positive(temperature):
    with pytest.raises(ValueError, match=r"Parameter `temperature` should be finite and greater than 0\. Found"):
        SquaredGap(temperature=temperature)


def test_unknown_reduction_lists_the_known():
    with pytest.raises(ValueError, match="`reduction` should be 'mean', 'sum' or 'none'. Found `reduction = 'avg'`"):
        SquaredGap(reduction="avg")


def test_class_counts_must_agree():
    with pytest.raises(ValueError, match="same number of classes. Found 5 classes .* and 6"):
        SquaredGap()(torch.zeros(2, 5), torch.zeros(2, 6))


def test_batches_must_agree():
    with pytest.raises(ValueError, match="should have the same shape"):
        SquaredGap()(torch.zeros(2, 5), torch.zeros(3, 5))


def test_mask_must_fit():
    with pytest.raises(ValueError, match=r"`mask` should have shape \(2,\). Found \(3,\)"):
        SquaredGap()(torch.zeros(2, 5), torch.zeros(2, 5), torch.ones(3, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"`mask` should be boolean.*Found dtype torch.float(32|64)"):
        SquaredGap()(torch.zeros(2, 5), torch.zeros(2, 5), torch.ones(2))


def test_repr_shows_the_live_numbers():
    assert "alpha=0.2, beta=0.7" in repr(AlphaBetaDivergence(0.2, 0.7))


def test_pointwise_of_another_shape_is_refused():
    class Wide(Divergence):
        def pointwise(self, log_p, log_q):
            return log_p - log_q

    with pytest.raises(ValueError, match=r"`Wide.pointwise` should return one value .* \(4,\). Found shape \(4, 9\)"):
        Wide()(logits(4, 9).requires_grad_(), logits(4, 9, seed=1))
