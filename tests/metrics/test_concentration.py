import math

import pytest
import torch
from torch import Tensor, inf
from torchmetrics import Metric

from lightning_abkd.metrics import ConfidenceConcentration, HardnessConcentration

BOTH = (HardnessConcentration, ConfidenceConcentration)
ALPHA_BETA = [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (0.0, 0.0), (1e-6, 0.7), (-0.5, 1.0), (2.0, -1.0)]


def value(metric_class: type[Metric], *args: Tensor | float, **options: Tensor | float) -> float:
    metric = metric_class()
    metric.update(*args, **options)
    return float(metric.compute())


def logits(scale: float = 1.0) -> tuple[Tensor, Tensor]:
    student, teacher = torch.randn(2, 64, 10, generator=torch.Generator().manual_seed(0)) * scale
    return student, teacher


# p = (3/4, 1/4), q = (1/2, 1/2): |log p - log q| = log 3/2 and log 2
TWO_CLASSES = (torch.zeros(1, 2), torch.tensor([[3.0, 1.0]]).log())


def test_hardness_by_hand() -> None:
    a, b = math.log(1.5), math.log(2)
    assert value(HardnessConcentration, *TWO_CLASSES, 1.0, 0.0) == pytest.approx((a + b) / 2)
    # at alpha = 0 the weights are the log-ratios themselves
    assert value(HardnessConcentration, *TWO_CLASSES, 0.0, 0.0) == pytest.approx((a * a + b * b) / (a + b))
    # alpha = 2: p² - q² = 5/16 and -3/16
    assert value(HardnessConcentration, *TWO_CLASSES, 2.0, 0.5) == pytest.approx((5 * a + 3 * b) / 8)
    # alpha = -1: 1/p - 1/q = -2/3 and 2
    assert value(HardnessConcentration, *TWO_CLASSES, -1.0, 1.0) == pytest.approx((a / 3 + b) / (4 / 3))


def test_confidence_by_hand() -> None:
    teacher, student = TWO_CLASSES
    # q = (3/4, 1/4), p = (1/2, 1/2), |p - q| equal: weights q^beta
    assert value(ConfidenceConcentration, student, teacher, 1.0, 0.0) == pytest.approx(1 / 2)
    assert value(ConfidenceConcentration, student, teacher, 1.0, 1.0) == pytest.approx(10 / 16)
    assert value(ConfidenceConcentration, student, teacher, 1.0, 2.0) == pytest.approx((27 + 1) / 4 / (9 + 1))


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_hardness_of_a_student_near_its_teacher_grows_as_alpha_falls(beta: float) -> None:
    noise, teacher = logits(scale=3)
    student = teacher + noise / 6
    values = [value(HardnessConcentration, student, teacher, alpha, beta) for alpha in (1.0, 0.7, 0.4, 0.1, 0.0, -0.2)]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.05


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_confidence_grows_with_beta(alpha: float) -> None:
    values = [value(ConfidenceConcentration, *logits(), alpha, beta) for beta in (-0.2, 0.0, 0.3, 0.6, 1.0)]
    assert values == sorted(values)
    assert values[-1] - values[0] > 0.05


@pytest.mark.parametrize("metric_class", BOTH)
def test_alpha_zero_is_the_limit(metric_class: type[Metric]) -> None:
    values = [value(metric_class, *logits(), alpha, 0.4) for alpha in (-1e-6, -1e-30, 0.0, 1e-30, 1e-6)]
    assert values == pytest.approx([values[2]] * 5, rel=1e-5)


@pytest.mark.parametrize("metric_class", BOTH)
@pytest.mark.parametrize(("alpha", "beta"), ALPHA_BETA)
def test_float32_follows_the_definition_in_float64(metric_class: type[Metric], alpha: float, beta: float) -> None:
    student, teacher = logits(scale=5)
    q, p = student.double().softmax(-1), teacher.double().softmax(-1)
    weight = q**beta * ((p**alpha - q**alpha).abs() / abs(alpha) if abs(alpha) > 1e-3 else (p / q).log().abs())
    quantity = (p / q).log().abs() if metric_class is HardnessConcentration else q
    expected = ((weight * quantity).sum(-1) / weight.sum(-1)).mean().item()
    assert value(metric_class, student, teacher, alpha, beta) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("metric_class", BOTH)
def test_equal_rows_contribute_zero(metric_class: type[Metric]) -> None:
    student, teacher = logits()
    alone = value(metric_class, student[:1], teacher[:1], 0.5, 0.5)
    together = value(metric_class, student[:2], torch.stack((teacher[0], student[1])), 0.5, 0.5)
    assert together == pytest.approx(alone / 2)


@pytest.mark.parametrize("metric_class", BOTH)
def test_the_mask_selects(metric_class: type[Metric]) -> None:
    student, teacher = logits()
    mask = torch.arange(64) < 5
    expected = value(metric_class, student[:5], teacher[:5], 0.5, 0.5)
    assert value(metric_class, student, teacher, 0.5, 0.5, mask=mask) == pytest.approx(expected)


@pytest.mark.parametrize("metric_class", BOTH)
def test_numbers_and_tensors_are_alike(metric_class: type[Metric]) -> None:
    student, teacher = (x.view(8, 8, 10) for x in logits())
    expected = value(metric_class, student, teacher, 0.3, 0.6, temperature=2.0)
    tensors = (torch.tensor(0.3), torch.full((8, 1), 0.6))
    assert value(metric_class, student, teacher, *tensors, temperature=torch.full((8,), 2.0)) == pytest.approx(expected)


@pytest.mark.parametrize("metric_class", BOTH)
@pytest.mark.parametrize(("alpha", "beta"), ALPHA_BETA)
def test_a_class_at_minus_infinity_on_both_sides_adds_nothing(
    metric_class: type[Metric], alpha: float, beta: float
) -> None:
    student, teacher = logits()
    padded = [torch.nn.functional.pad(x, (0, 3), value=-inf) for x in (student, teacher)]
    expected = value(metric_class, student, teacher, alpha, beta)
    assert value(metric_class, *padded, alpha, beta) == pytest.approx(expected)


@pytest.mark.parametrize("bottom", [-inf, torch.finfo(torch.float32).min])
@pytest.mark.parametrize("metric_class", BOTH)
@pytest.mark.parametrize(("alpha", "beta"), ALPHA_BETA)
def test_a_class_at_minus_infinity_on_one_side_stays_finite(
    metric_class: type[Metric], alpha: float, beta: float, bottom: float
) -> None:
    student, teacher = logits()
    cut = student.index_fill(1, torch.tensor([0]), bottom)
    assert math.isfinite(value(metric_class, cut, teacher, alpha, beta))
    assert 0 <= value(metric_class, teacher, cut, alpha, beta) <= 1e4
