from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
import torch

from lightning_abkd.training._batches import inputs_of, views_of

IMAGES, LABELS, INDEX = torch.zeros(4, 3), torch.tensor([0, 1, 2, 0]), torch.tensor([5, 0, 7, 9])


@dataclass
class Record:
    image: torch.Tensor
    label: torch.Tensor
    path: str = "a.png"


class Named(NamedTuple):
    pixel_values: torch.Tensor
    labels: torch.Tensor


class Pair(NamedTuple):
    first: torch.Tensor
    second: torch.Tensor


FORMS = [
    (IMAGES, LABELS),
    [IMAGES, LABELS],
    (IMAGES, LABELS, INDEX, ["a.png"] * 4),
    (IMAGES, LABELS.tolist()),
    (IMAGES, LABELS.numpy()),
    ({"pixel_values": IMAGES}, LABELS),
    {"pixel_values": IMAGES, "labels": LABELS},
    {"image": IMAGES, "label": LABELS, "path": ["a.png"] * 4},
    {"img": None, "x": IMAGES, "y": LABELS},
    Record(IMAGES, LABELS),
    Named(IMAGES, LABELS),
    Pair(IMAGES, LABELS),
]


@pytest.mark.parametrize("batch", FORMS, ids=lambda batch: type(batch).__name__)
def test_batches_of_every_form_hold_inputs_and_labels(batch):
    views = views_of(batch, training=False)
    assert views.inputs[0] is IMAGES
    assert torch.equal(views.signals["labels"], LABELS)
    assert inputs_of(batch) is IMAGES


@pytest.mark.parametrize("batch", [IMAGES, [IMAGES], (IMAGES, None), {"pixel_values": IMAGES}, (IMAGES, ["cat"] * 4)])
def test_labels_may_be_absent(batch):
    assert views_of(batch, training=True) == ((IMAGES,), {})


def test_the_index_of_a_mapping_is_read_in_training():
    batch = {"image": IMAGES, "label": LABELS, "index": np.array([5, 0, 7, 9])}
    assert torch.equal(views_of(batch, training=True).signals["index"], INDEX)
    assert list(views_of(batch, training=False).signals) == ["labels"]


def test_two_views_are_a_pair_of_inputs():
    assert views_of(([IMAGES, -IMAGES], LABELS), training=True).inputs[1].equal(-IMAGES)
    assert inputs_of({"pixel_values": (IMAGES, -IMAGES)}) is IMAGES


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ({"a": IMAGES, "labels": LABELS}, r"a dict of a: \(4, 3\) float\d\d, labels: \(4,\) int64"),
        (([["a.png"]], LABELS), r"a tuple of \(list, \(4,\) int64\)"),
        ({}, "a dict of nothing"),
        ([], r"a list of \(\)"),
        ("abc", "a batch of type str"),
        (7, "a batch of type int"),
    ],
)
def test_a_batch_of_an_unknown_form_says_what_it_should_be(batch, found):
    with pytest.raises(TypeError, match=rf"A batch should be .*`pixel_values`.* Found {found}. Override `signals`"):
        views_of(batch, training=True)


def test_inputs_under_two_names_are_an_error():
    with pytest.raises(ValueError, match="hold its pixel_values under one name. Found .* pixel_values and image"):
        views_of({"pixel_values": IMAGES, "image": IMAGES}, training=True)
