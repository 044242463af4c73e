import math

import pytest
import torch
from lightning.pytorch import LightningDataModule

from lightning_abkd.diagnostics.doctor._answers import answers, labelled
from tests.diagnostics.doctor._patients import images, loader, module, patient, reader


def test_the_teacher_is_asked_about_the_training_batch_where_nothing_validates():
    found = answers(patient())
    assert (found.source, found.accuracy, len(found), found.classes) == ("training", 1.0, 96, 3)


def test_the_teacher_is_asked_about_validation_data():
    class Data(LightningDataModule):
        def val_dataloader(self):
            return [loader(24), loader(8)]

    examined = patient()
    examined.trainer.datamodule = Data()
    assert (answers(examined).source, len(answers(examined))) == ("validation", 24)
    for limit, size in {1: 8, 0.7: 16, 0: 96}.items():
        examined.trainer.limit_val_batches = limit
        assert len(answers(examined)) == size


def test_entropy_and_cross_entropy_are_means():
    model = module()
    model.teacher.weight.data.zero_()
    found = answers(patient(model))
    assert (found.entropy, found.cross_entropy) == pytest.approx((math.log(3), math.log(3)))


def test_labels_that_are_no_classes_give_no_answers():
    inputs, labels = images()
    assert answers(patient(batch=(inputs, labels + 1))) is None
    assert labelled({"teacher_logits": torch.zeros(2, 3)}) is None
    assert answers(patient(module(teacher=None, divergence=None))) is None


def test_only_counted_tokens_are_asked_for():
    # Four of a response in each of two rows.
    assert len(answers(reader())) == 8
