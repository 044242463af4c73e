import math

import pytest
import torch
from torchmetrics import Metric

from lightning_abkd.metrics import StudentEntropy, TeacherEntropy


@pytest.mark.parametrize("metric_class", [StudentEntropy, TeacherEntropy])
def test_equals_the_entropy_of_torch(metric_class: type[Metric]) -> None:
    logits = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))
    metric = metric_class()
    metric.update(logits, temperature=2.0)
    expected = torch.distributions.Categorical(logits=logits / 2).entropy().mean()
    torch.testing.assert_close(metric.compute(), expected)


def test_a_class_at_minus_infinity_adds_nothing() -> None:
    metric = StudentEntropy()
    metric.update(torch.tensor([[1.0, 1.0, -torch.inf]]))
    assert metric.compute() == pytest.approx(math.log(2))


def test_the_mask_selects() -> None:
    metric = TeacherEntropy()
    metric.update(torch.tensor([[0.0, 0.0], [0.0, 99.0]]), mask=torch.tensor([True, False]))
    assert metric.compute() == pytest.approx(math.log(2))


def test_bfloat16_is_measured_in_float32() -> None:
    metric = StudentEntropy()
    metric.update(torch.zeros(1, 1000, dtype=torch.bfloat16))
    assert metric.compute() == pytest.approx(math.log(1000))
