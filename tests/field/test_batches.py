"""Batches as loaders of other libraries yield them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import BatchEncoding, BatchFeature, DefaultDataCollator

from lightning_abkd.modules import DistillationModule
from tests.training._training import sgd, trainer

IMAGES, LABELS = torch.randn(8, 3, 2, 2, generator=torch.Generator().manual_seed(0)), torch.arange(8) % 5


def module(**options):
    torch.manual_seed(0)
    networks = [nn.Sequential(nn.Flatten(), nn.Linear(12, 5)) for _ in range(2)]
    return DistillationModule(*networks, optimizer=sgd, **options)


def fitted(folder, data, **options):
    run = trainer(folder, max_epochs=1)
    run.fit(model := module(**options), data, data)
    trainer(folder).predict(model, data)
    return {name: value.item() for name, value in run.callback_metrics.items()}


@pytest.fixture
def expected(tmp_path):
    return fitted(tmp_path, DataLoader([(IMAGES, LABELS)], None))


@pytest.mark.parametrize(
    "batch",
    [
        {"pixel_values": IMAGES, "labels": LABELS},
        {"image": IMAGES, "label": LABELS, "path": ["a.png"] * 8, "id": torch.arange(8)},
        BatchEncoding({"pixel_values": IMAGES, "labels": LABELS}),
        BatchFeature({"pixel_values": IMAGES, "labels": LABELS}),
        (BatchFeature({"pixel_values": IMAGES}), LABELS),
    ],
    ids=["transformers", "datasets", "BatchEncoding", "BatchFeature", "pair"],
)
def test_mappings_train_validate_and_predict(tmp_path, expected, batch):
    assert fitted(tmp_path, DataLoader([batch], None)) == expected


def test_rows_of_data_sets_are_collated_to_mappings(tmp_path, expected):
    rows = [{"pixel_values": x, "label": int(y)} for x, y in zip(IMAGES, LABELS, strict=True)]
    assert fitted(tmp_path, DataLoader(rows, 8)) == expected
    # transformers' collator names the labels in the plural.
    assert fitted(tmp_path, DataLoader(rows, 8, collate_fn=DefaultDataCollator())) == expected


def test_numbers_beside_the_images_need_not_be_tensors(tmp_path, expected):
    for labels in (LABELS.tolist(), LABELS.numpy(), np.int32(LABELS.numpy())):
        assert fitted(tmp_path, DataLoader([(IMAGES, labels)], None)) == expected


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ({"pixels": IMAGES, "labels": LABELS}, r"a dict of pixels: \(8, 3, 2, 2\) float\d\d, labels: \(8,\) int64"),
        ({"labels": LABELS}, r"a dict of labels: \(8,\) int64"),
        ((["a.png"] * 8, LABELS), r"a list of \(list, \(8,\) int64\)"),
        ({"pixel_values": ["a.png"] * 8}, "a dict of pixel_values: list"),
    ],
)
def test_other_batches_say_what_a_batch_should_be(tmp_path, batch, found):
    for weight in (1.0, 0.0):
        with pytest.raises(TypeError, match=rf"A batch should be .* Found {found}"):
            fitted(tmp_path, DataLoader([batch], None), task_weight=weight)
