import pytest
import torch
from torchmetrics.text import Perplexity

from lightning_abkd.metrics import StudentPerplexity, TeacherPerplexity

LABELS = torch.tensor([[2, -100, 1], [0, 1, -100]])


def measured(metric, *batches, **options):
    metric = metric(**options)
    for batch in batches:
        metric.update(*batch)
    return metric.compute()


@pytest.mark.parametrize("metric", [StudentPerplexity, TeacherPerplexity])
def test_it_is_that_of_torchmetrics(metric):
    logits = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = measured(Perplexity, (logits, LABELS), ignore_index=-100)
    torch.testing.assert_close(measured(metric, (logits, LABELS)), expected)
    torch.testing.assert_close(measured(metric, (logits[0], LABELS[0]), (logits[1:], LABELS[1:])), expected)


def test_a_mask_counts_beside_the_labels():
    logits, mask = torch.zeros(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool)
    mask[0, 0] = True
    logits[0, 0, 2] = torch.tensor(3.0).log()
    # 3 of 3 + 1 + 1 + 1
    torch.testing.assert_close(measured(StudentPerplexity, (logits, LABELS, mask)), torch.tensor(2.0))


def test_small_probabilities_and_narrow_dtypes_stay_exact():
    # Of rows with the cross-entropies 120 and 0 nats, the mean is 60; e^-120 is below the smallest float32.
    logits = torch.tensor([[[0.0, 120.0]] * 2], dtype=torch.bfloat16)
    found = measured(StudentPerplexity, (logits, torch.tensor([[0, 1]])))
    assert found.log().item() == pytest.approx(60)


def test_without_a_label_it_is_nan():
    assert measured(TeacherPerplexity, (torch.zeros(1, 2, 4), torch.full((1, 2), -100))).isnan()
