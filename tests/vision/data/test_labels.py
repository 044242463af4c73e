import numpy as np
import pytest
import torch

from lightning_abkd.vision.data._labels import class_of, read_labels


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.float32])
@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_whole_labels_of_any_dtype_are_read(dtype, shape):
    labels = read_labels(torch.tensor([2, 0, 1], dtype=dtype).view(shape), 3)
    assert (labels.dtype, labels.tolist()) == (torch.int64, [2, 0, 1])


@pytest.mark.parametrize("targets", [[1, 0], np.array([1, 0], np.uint16), list(np.array([1, 0])), (True, False)])
def test_lists_and_arrays_are_read(targets):
    assert read_labels(targets, 2).tolist() == [1, 0]


@pytest.mark.parametrize("form", [torch.tensor, list, lambda rows: [torch.tensor(row) for row in rows]])
def test_probabilities_of_the_classes_stay(form):
    rows = [[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]
    labels = read_labels(form(rows), 3)
    assert (labels.dtype, labels.tolist()) == (torch.float32, rows)
    assert class_of(labels).tolist() == [1, 0]


def test_samples_without_a_label_stay():
    assert class_of(read_labels([-100, 1], 2)).tolist() == [-100, 1]


@pytest.mark.parametrize(
    ("targets", "error", "found"),
    [
        ([0.5, 1.0], ValueError, "be whole numbers. Found 0.5 at position 0"),
        ([0.0, float("nan")], ValueError, "be whole numbers. Found nan at position 1"),
        ([1, 2, 3], ValueError, "lie between 0 and 2, because there are 3 classes. Found 3 at position 2"),
        ([0, -1], ValueError, "lie between 0 and 2, because there are 3 classes. Found -1 at position 1"),
        (torch.zeros(4, 2), ValueError, r"have the shape \(N,\), or \(N, 3\) .* Found \(4, 2\)"),
        (["cat", "dog"], TypeError, "be a tensor or a list of numbers. Found list"),
    ],
)
def test_other_labels_are_refused(targets, error, found):
    with pytest.raises(error, match=f"Labels in `targets` should {found}"):
        read_labels(targets, 3)
