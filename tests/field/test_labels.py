"""Labels as data sets, transforms and loaders yield them: indices of any dtype, columns, one-hot rows, mixtures."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torch.utils.data import DataLoader, TensorDataset, default_collate
from torchvision.transforms import v2

from lightning_abkd.callbacks import HyperparameterScheduler
from lightning_abkd.losses import CRD, DKD, ForwardKL
from lightning_abkd.modules import DistillationModule
from lightning_abkd.schedules import Linear
from tests.training._training import sgd, trainer

CLASSES, IMAGES = 5, torch.randn(8, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 3, 1, 4, 4, 2, 0, 3])


def network(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES))


def module(**options):
    return DistillationModule(**{"teacher": network(1), "student": network(2), "optimizer": sgd} | options)


def fitted(folder, batch, **options):
    """Fit, validate and test one batch; return the values of the first step and those of the last test."""
    run = trainer(folder, max_epochs=1)
    run.fit(model := module(**options), DataLoader([batch], None), DataLoader([batch], None))
    logged = {name: value.item() for name, value in run.callback_metrics.items()}
    return logged | run.test(model, DataLoader([batch], None), verbose=False)[0]


def first_loss(labels):
    return cross_entropy(network(2)(IMAGES), labels).item()


FORMS = {
    "int8": LABELS.to(torch.int8),
    "int16": LABELS.to(torch.int16),
    "int32": LABELS.to(torch.int32),
    "uint8": LABELS.to(torch.uint8),
    "column": LABELS.unsqueeze(1),
    "column of uint8": LABELS.to(torch.uint8).unsqueeze(1),
    "whole floats": LABELS.to(torch.float64),
    "column of floats": LABELS.float().unsqueeze(1),
    "one-hot integers": one_hot(LABELS),
    "one-hot booleans": one_hot(LABELS).bool(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_class_is_the_same_class_in_every_form(tmp_path, form):
    assert fitted(tmp_path, (IMAGES, FORMS[form])) == fitted(tmp_path, (IMAGES, LABELS))


def test_columns_of_labels_are_not_broadcast(tmp_path):
    found = fitted(tmp_path, (IMAGES, LABELS.unsqueeze(1)))
    assert found["train/accuracy"] == pytest.approx((network(2)(IMAGES).argmax(-1) == LABELS).float().mean().item())
    assert found["train/task_loss"] == pytest.approx(first_loss(LABELS))


@pytest.mark.parametrize("transform", [v2.MixUp(num_classes=CLASSES), v2.CutMix(num_classes=CLASSES)])
@pytest.mark.parametrize("size", [8, CLASSES])
def test_mixtures_have_torchs_soft_cross_entropy(tmp_path, transform, size):
    torch.manual_seed(1)
    images, labels = transform(IMAGES[:size], LABELS[:size])
    found = fitted(tmp_path, (images, labels))
    assert found["train/task_loss"] == pytest.approx(cross_entropy(network(2)(images), labels).item(), rel=1e-6)
    for name, seed in (("train/accuracy", 2), ("test/teacher_accuracy", 1)):
        right = network(seed)(images).argmax(-1) == labels.argmax(-1)
        assert found[name] == pytest.approx(right.float().mean().item())


def test_a_loader_may_mix_batches_as_it_collates(tmp_path):
    mix = v2.MixUp(num_classes=CLASSES)
    data = DataLoader(TensorDataset(IMAGES, LABELS), 3, collate_fn=lambda rows: mix(*default_collate(rows)))
    run = trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2)
    run.fit(module(), data, DataLoader(TensorDataset(IMAGES, LABELS), 3))
    assert {"train/task_loss", "val/accuracy"} <= set(run.callback_metrics)


def test_smoothed_labels_are_measured_by_the_largest(tmp_path):
    smooth = 0.9 * one_hot(LABELS) + 0.1 / CLASSES
    soft, hard = (fitted(tmp_path, (IMAGES, labels), task_weight=0.0) for labels in (smooth, LABELS))
    assert soft["test/accuracy"] == hard["test/accuracy"]
    assert soft["test/calibration_error"] == hard["test/calibration_error"]
    expected = cross_entropy(network(2)(IMAGES), LABELS, label_smoothing=0.1).item()
    assert fitted(tmp_path, (IMAGES, smooth.half()))["train/task_loss"] == pytest.approx(expected, rel=1e-3)


def test_half_of_the_labels_may_be_ignored(tmp_path):
    labels = LABELS.where(torch.arange(8) % 2 == 0, -100)
    found = fitted(tmp_path, (IMAGES, labels.to(torch.int16)))
    assert found["train/task_loss"] == pytest.approx(first_loss(labels))
    # The divergence needs no label.
    assert found["train/divergence"] == fitted(tmp_path, (IMAGES, LABELS))["train/divergence"]
    right = network(2)(IMAGES).argmax(-1)[::2] == LABELS[::2]
    assert found["train/accuracy"] == pytest.approx(right.float().mean().item())


@pytest.mark.parametrize("size", [4, 2, 1])
def test_ignored_labels_of_micro_batches_are_those_of_the_whole(tmp_path, size):
    labels, learnt = LABELS.where(torch.tensor([1, 1, 1, 1, 1, 0, 0, 0]) > 0, -100), []
    for batch_size in (8, size):
        model = module(teacher=None)
        options = {"accumulate_grad_batches": 8 // batch_size, "max_epochs": 1}
        trainer(tmp_path, **options).fit(model, DataLoader(TensorDataset(IMAGES, labels), batch_size))
        learnt.append(model.student[1].weight.detach())
    torch.testing.assert_close(*learnt)


@pytest.mark.parametrize("labels", [LABELS * 0 - 100, LABELS * 0.0 - 100])
def test_a_batch_without_a_label_learns_from_the_teacher(tmp_path, labels):
    found = fitted(tmp_path, (IMAGES, labels))
    assert found["train/task_loss"] == 0.0
    assert found["train/loss"] == pytest.approx(found["train/divergence"])
    assert not {"train/accuracy", "val/accuracy", "val/task_loss"} & set(found)


def test_objectives_take_indices_in_every_form_and_no_mixtures(tmp_path):
    expected = fitted(tmp_path, (IMAGES, LABELS), divergence=DKD())["train/divergence"]
    for form in ("column of uint8", "int32", "one-hot integers"):
        assert fitted(tmp_path, (IMAGES, FORMS[form]), divergence=DKD())["train/divergence"] == expected
    with pytest.raises(ValueError, match=r"Found \(8, 5\) of dtype torch.float.*DKD takes class indices"):
        fitted(tmp_path, (IMAGES, one_hot(LABELS).double()), divergence=DKD())
    with pytest.raises(ValueError, match="DKD should have a label for every sample. Found 2 of 8 samples"):
        fitted(tmp_path, (IMAGES, LABELS.where(LABELS > 0, -100)), divergence=DKD())


def test_features_are_contrasted_with_labels_in_every_form(tmp_path):
    loss = CRD(8, CLASSES, CLASSES, dim=4, negatives=6)
    options = {"divergence": loss, "student_features": "1", "teacher_features": "1"}
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module(**options), DataLoader([(IMAGES, LABELS.to(torch.uint8).unsqueeze(1), torch.arange(8))], None))
    assert loss.classes.equal(LABELS)


@pytest.mark.parametrize(
    "batch", [IMAGES, (IMAGES,), (IMAGES, ["cat"] * 8), (IMAGES, LABELS - 1), (IMAGES, torch.zeros(8, 3))]
)
def test_without_a_task_loss_labels_are_not_needed(tmp_path, batch):
    found = fitted(tmp_path, batch, task_weight=0.0)
    assert found["train/loss"] == found["train/divergence"]
    assert {"val/loss", "val/agreement", "test/teacher_entropy"} <= set(found)
    assert "val/task_loss" not in found


def test_a_weight_may_be_raised_from_nothing(tmp_path):
    scheduler = HyperparameterScheduler({"task_weight": Linear(0.0, 1.0)})
    for options in ({}, {"teacher": None, "divergence": None}):
        run = trainer(tmp_path, max_epochs=2, callbacks=[scheduler])
        run.fit(model := module(task_weight=0.0, **options), DataLoader([(IMAGES, LABELS)], None))
        assert model.task_weight == 1.0
        assert "train/task_loss" in run.callback_metrics


def test_a_loss_without_a_weight_is_refused(tmp_path):
    data = DataLoader([(IMAGES, LABELS)], None)
    with pytest.raises(ValueError, match="should have a weight. Found `task_weight = 0` and no divergence"):
        trainer(tmp_path).fit(module(teacher=None, task_weight=0.0), data)
    with pytest.raises(ValueError, match="Found `task_weight = 0` and `distillation_weight = 0`"):
        trainer(tmp_path).fit(module(divergence=ForwardKL(), task_weight=0.0, distillation_weight=0.0), data)


def test_a_student_of_its_teacher_alone_is_tested_without_it(tmp_path):
    found = trainer(tmp_path).test(module(teacher=None, task_weight=0.0), DataLoader([(IMAGES, LABELS)], None))[0]
    assert found["test/task_loss"] == pytest.approx(first_loss(LABELS))
    # The loss is what is left of it, so that a checkpoint can be chosen by it.
    assert found["test/loss"] == found["test/task_loss"]
