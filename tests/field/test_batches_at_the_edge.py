"""Losses of batches without a row, with one row, with one class, and of equal rows at negative exponents."""

import inspect

import pytest
import torch

from lightning_abkd import functional, losses
from lightning_abkd.losses import AlphaBetaDivergence, DistillationLoss

NEGATIVE = [(-1.0, -1.0), (0.0, -1.0), (1.0, -2.0), (-1.0, 0.0), (2.0, -2.0)]
RULE = {"rule": losses.TeacherUncertainty(), "alpha": 0.2, "beta": 0.7, "other_alpha": 1.0, "other_beta": 0.0}
PER_POSITION = {
    "AlphaBetaDivergence": {"alpha": 0.5, "beta": 0.5},
    "TokenwiseAlphaBeta": RULE,
    "ForwardKL": {},
    "ReverseKL": {},
    "AlphaDivergence": {"alpha": 0.3},
    "BetaDivergence": {"beta": 0.3},
    "Hellinger": {},
    "SymmetricKL": {},
    "JensenShannon": {},
    "SkewedForwardKL": {},
    "SkewedReverseKL": {},
    "TotalVariation": {},
    "AdaptiveKL": {},
    "EntropyWeightedKL": {},
    "AdaptiveAlphaDivergence": {},
}


def compute(loss: DistillationLoss, student, teacher):
    signals = {f"student_logits{view}": student for view in ("", "_strong")}
    signals |= {f"teacher_logits{view}": teacher for view in ("", "_strong")}
    signals["labels"] = torch.zeros(student.shape[:-1], dtype=torch.long)
    return loss(**{name: signals[name] for name in inspect.signature(loss.forward).parameters if name in signals})


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", PER_POSITION)
@pytest.mark.parametrize("shape", [(0, 5), (2, 0, 5)])
def test_no_row_gives_nothing_or_a_zero_with_a_gradient(name, reduction, shape):
    student = torch.zeros(shape, requires_grad=True)
    value = getattr(losses, name)(**PER_POSITION[name], reduction=reduction)(student, torch.zeros(shape))
    assert value.shape == (shape[:-1] if reduction == "none" else ())
    assert value.sum().item() == 0.0
    value.sum().backward()
    assert student.grad.shape == shape


@pytest.mark.parametrize("backend", ["auto", "fused", "eager"])
@pytest.mark.float32
def test_no_row_is_the_same_in_every_backend(backend):
    loss = AlphaBetaDivergence(0.5, 0.5, backend=backend, reduction="none")
    assert loss(torch.zeros(0, 5), torch.zeros(0, 5)).shape == (0,)


@pytest.mark.parametrize("name", ["DKD", "LSD", "TTM", "WTTM", "MLKD"])
def test_no_row_is_a_zero_with_a_gradient_for_objectives(name):
    student = torch.zeros(0, 5, requires_grad=True)
    value = compute(getattr(losses, name)(), student, torch.zeros(0, 5))
    value.backward()
    assert value.item() == 0.0
    assert student.grad.shape == (0, 5)


@pytest.mark.parametrize("name", ["LSD", "TTM", "WTTM", "MLKD"])
def test_one_class_alone_gives_zero(name):
    student = torch.randn(3, 1, requires_grad=True)
    value = compute(getattr(losses, name)(), student, torch.randn(3, 1))
    value.backward()
    assert value.item() == 0.0
    assert (student.grad == 0).all()


def test_decoupled_distillation_needs_a_class_beside_the_label():
    with pytest.raises(ValueError, match=r"DKD should see at least two classes.* Found logits of shape \(3, 1\)"):
        compute(losses.DKD(), torch.zeros(3, 1), torch.zeros(3, 1))


@pytest.mark.float32
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("backend", ["auto", "fused", "eager", "triton"])
@pytest.mark.parametrize(("alpha", "beta"), NEGATIVE)
def test_equal_rows_give_zero_at_negative_exponents(alpha, beta, backend):
    if backend == "triton":
        pytest.importorskip("triton")
    student = torch.tensor([[0.0, -100.0, 1.0], [0.0, -torch.inf, 1.0]], requires_grad=True)
    value = AlphaBetaDivergence(alpha, beta, backend=backend)(student, student.detach())
    value.backward()
    assert value.item() == 0.0
    assert (student.grad == 0.0).all()


@pytest.mark.parametrize(("alpha", "beta"), NEGATIVE)
def test_equal_log_probabilities_give_zero_at_negative_exponents(alpha, beta):
    log_p = torch.tensor([[0.0, -200.0, 1.0]]).log_softmax(-1)
    assert functional.alpha_beta_divergence(log_p, log_p, alpha, beta).item() == 0.0
    value, slope = functional.alpha_beta_value_and_slope(log_p, log_p, alpha, beta)
    assert value.item() == 0.0
    assert (slope == 0.0).all()


@pytest.mark.float32
@pytest.mark.parametrize(("alpha", "beta"), NEGATIVE)
def test_a_value_beyond_float32_is_infinite_and_not_nan(alpha, beta):
    student = torch.tensor([[0.0, -300.0, 1.0]])
    assert AlphaBetaDivergence(alpha, beta)(student, student[:, [1, 0, 2]]).item() == torch.inf


def test_nan_stays_nan_at_negative_exponents():
    student = torch.tensor([[0.0, torch.nan, 1.0]])
    assert AlphaBetaDivergence(-1.0, -1.0)(student, torch.zeros(1, 3)).isnan()


@pytest.mark.parametrize("name", ["total_variation", "jensen_shannon", "skewed_forward_kl", "skewed_reverse_kl"])
def test_functions_refuse_shapes_that_only_broadcast(name):
    with pytest.raises(ValueError, match=r"same shape. Found \(1, 3\) and \(4, 3\)"):
        getattr(functional, name)(torch.zeros(1, 3), torch.zeros(4, 3))


def test_a_share_of_the_reverse_direction_lies_between_0_and_1():
    with pytest.raises(ValueError, match=r"`weight` should lie in \[0, 1\]. Found `weight = 1.5`"):
        functional.symmetric_kl(torch.zeros(1, 3), torch.zeros(1, 3), 1.5)
