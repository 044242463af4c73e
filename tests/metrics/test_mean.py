import pytest
import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from lightning_abkd.metrics import (
    ConfidenceConcentration,
    HardnessConcentration,
    PositionMean,
    StudentEntropy,
    TeacherAgreement,
    TeacherEntropy,
    _mean,
)

OURS = (TeacherAgreement, StudentEntropy, TeacherEntropy, HardnessConcentration, ConfidenceConcentration)


def signals(rows: int, seed: int = 0, same: bool = False) -> dict[str, Tensor | float]:
    generator = torch.Generator().manual_seed(seed)
    student, teacher = torch.randn(2, rows, 5, generator=generator)
    labels = torch.randint(5, (rows,), generator=generator)
    common = {"alpha": torch.tensor(0.3), "beta": 0.6, "temperature": 2.0, "mask": torch.arange(rows) % 3 > 0}
    return {
        "preds": student, "target": labels, "student_logits": student,
        "teacher_logits": student if same else teacher, **common,
    }  # fmt: skip


def collection(**options: bool) -> MetricCollection:
    theirs = [MulticlassAccuracy(5), MulticlassCalibrationError(5)]
    return MetricCollection([*(metric() for metric in OURS), *theirs], **options)


def test_a_collection_feeds_every_metric_by_name() -> None:
    batch = signals(9)
    metrics = collection()
    metrics.update(**batch)
    result = metrics.compute()
    for name, metric in collection().items(keep_base=True):
        metric.update(**metric._filter_kwargs(**batch))
        torch.testing.assert_close(result[name], metric.compute())


def test_a_collection_shares_no_state_when_the_student_starts_as_its_teacher() -> None:
    shared, separate = collection(), collection(compute_groups=False)
    for metrics in (shared, separate):
        metrics.update(**signals(9, same=True))
        metrics.update(**signals(9, seed=1))
    torch.testing.assert_close(shared.compute(), separate.compute())


def test_forward_returns_the_batch_and_keeps_the_epoch() -> None:
    metrics, separate = collection(), collection()
    metrics(**signals(9))
    of_batch = metrics(**signals(6, seed=1))
    separate.update(**signals(6, seed=1))
    torch.testing.assert_close(of_batch, separate.compute())
    separate.update(**signals(9))
    torch.testing.assert_close(metrics.compute()["HardnessConcentration"], separate.compute()["HardnessConcentration"])


@pytest.mark.parametrize("metric_class", OURS)
def test_parts_merge_to_the_whole(metric_class: type[Metric]) -> None:
    batch = signals(9)
    positional = ("student_logits", "teacher_logits", "mask")
    parts = [{k: v[s] if k in positional else v for k, v in batch.items()} for s in (slice(4), slice(4, 9))]
    whole, first, second = metric_class(), metric_class(), metric_class()
    whole.update(**whole._filter_kwargs(**batch))
    for metric, part in zip((first, second), parts, strict=True):
        metric.update(**metric._filter_kwargs(**part))
    first.merge_state(second)
    torch.testing.assert_close(first.compute(), whole.compute())


@pytest.mark.parametrize("metric_class", OURS)
def test_blocks_change_nothing(metric_class: type[Metric], monkeypatch: pytest.MonkeyPatch) -> None:
    batch = signals(9) | {"alpha": torch.linspace(0, 1, 9)}
    whole, split = metric_class(), metric_class()
    whole.update(**whole._filter_kwargs(**batch))
    monkeypatch.setattr(_mean, "_BLOCK_ELEMENTS", 20)
    split.update(**split._filter_kwargs(**batch))
    torch.testing.assert_close(split.compute(), whole.compute())


@pytest.mark.parametrize("metric_class", OURS)
def test_keeps_no_graph_and_no_list(metric_class: type[Metric]) -> None:
    metric = metric_class()
    batch = signals(9)
    metric.update(**metric._filter_kwargs(**batch | {"student_logits": batch["student_logits"].requires_grad_()}))
    assert all(torch.is_tensor(getattr(metric, state)) for state in metric._defaults)
    assert not metric.compute().requires_grad


@pytest.mark.parametrize("metric_class", OURS)
def test_nan_logits_are_not_hidden(metric_class: type[Metric]) -> None:
    metric = metric_class()
    batch = signals(9) | {
        "student_logits": torch.full((9, 5), torch.nan),
        "teacher_logits": torch.full((9, 5), torch.nan),
    }
    metric.update(**metric._filter_kwargs(**batch))
    assert metric.compute().isnan() or metric_class is TeacherAgreement


@pytest.mark.parametrize("metric_class", OURS)
def test_an_empty_batch_changes_nothing(metric_class: type[Metric]) -> None:
    with_empty, without = metric_class(), metric_class()
    for metric in (with_empty, without):
        metric.update(**metric._filter_kwargs(**signals(9)))
    with_empty.update(**with_empty._filter_kwargs(**signals(0)))
    torch.testing.assert_close(with_empty.compute(), without.compute(), rtol=0, atol=0)


class Extremes(PositionMean):
    """Mean of the lowest and of the highest logit."""

    value_shape = (2,)

    def update(self, logits: Tensor, mask: Tensor | None = None) -> None:
        self.accumulate(torch.stack(logits.aminmax(dim=-1), -1), mask)


def test_a_subclass_may_measure_several_values() -> None:
    metric = Extremes()
    metric.update(torch.tensor([[1.0, 5.0], [3.0, 7.0]]))
    metric.update(torch.tensor([[torch.nan, 0.0], [5.0, 6.0]]), mask=torch.tensor([False, True]))
    # (1 + 3 + 5) / 3 and (5 + 7 + 6) / 3
    assert metric.compute().tolist() == [3.0, 6.0]
