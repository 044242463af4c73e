import pytest
import torch
from torch.nn.functional import one_hot

from lightning_abkd.training._labels import LabelReader, has_ignored, read_labels, target_of

LOGITS, LABELS = torch.zeros(4, 3), torch.tensor([0, 2, 1, 2])
WHOLE = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.uint16, torch.float32, torch.bfloat16]


def read(labels, logits=LOGITS):
    return read_labels(labels, logits, check=True)


@pytest.mark.parametrize("dtype", WHOLE)
def test_indices_of_any_dtype_are_read(dtype):
    assert read(LABELS.to(dtype)).equal(LABELS)
    assert read(LABELS.to(dtype).unsqueeze(1)).equal(LABELS)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_one_hot_rows_are_indices(dtype):
    assert read(one_hot(LABELS, 3).to(dtype)).equal(LABELS)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_rows_of_floats_are_probabilities(dtype):
    rows = torch.linspace(0, 1, 12).view(4, 3).softmax(-1).to(dtype)
    assert read(rows).dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(read(rows), rows, check_dtype=False)


def test_as_many_samples_as_classes_change_nothing():
    rows = torch.eye(3).roll(1, 0) * 0.75 + 0.25 / 3
    assert read(rows, torch.zeros(3, 3)).equal(rows)
    assert read(torch.tensor([2.0, 0.0, 1.0]), torch.zeros(3, 3)).tolist() == [2, 0, 1]


def test_positions_may_have_any_shape():
    labels = torch.arange(24).view(2, 3, 4) % 5
    assert read(labels.int(), torch.zeros(2, 3, 4, 5)).equal(labels)
    assert read(one_hot(labels, 5), torch.zeros(2, 3, 4, 5)).equal(labels)
    assert read(torch.tensor(1), torch.zeros(3)).item() == 1


def test_booleans_name_one_of_two_classes():
    assert read(LABELS > 1, torch.zeros(4, 2)).tolist() == [0, 1, 0, 1]
    with pytest.raises(ValueError, match=r"dtype bool should be of two classes. Found .*\(4,\).* The student has 3"):
        read(LABELS > 1)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            LABELS + 1,
            r"between 0 and 2.*Found labels from 1 to 3, of shape \(4,\). Give the student an output for each",
        ),
        (LABELS - 1, "Found labels from -1 to 1, .* Where there is no label, set -100"),
        (LABELS + 0.5, r"should be whole numbers. Found 0.5 among labels of shape \(4,\) and dtype float"),
        (LABELS * torch.nan, "should be whole numbers. Found nan"),
        (one_hot(LABELS, 3) * 2, r"the sum 1 in each row. Found a row with the sum 2 .* \(4, 3\) and dtype int64"),
        (
            torch.full((4, 3), 1 / 3).add(torch.tensor([0.5, -0.5, 0])),
            "Found a row with the sum 1 and the lowest .* -0",
        ),
        (torch.full((4, 3), torch.nan), "Found a row with the sum nan"),
        (LABELS[:3], r"indices of shape \(4,\), or probabilities of shape \(4, 3\).* Found .* \(3,\) and dtype int64"),
        (torch.zeros(4, 2), r"Found labels of shape \(4, 2\) and dtype float"),
    ],
)
def test_labels_that_say_something_else_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        read(labels)


def test_complex_labels_are_refused():
    with pytest.raises(TypeError, match=r"Found labels of shape \(4,\) and dtype complex64"):
        read(LABELS.to(torch.complex64))


def test_ignored_labels_are_read_and_found():
    labels = torch.tensor([[0], [-100], [2], [-100]], dtype=torch.int16)
    assert read(labels).tolist() == [0, -100, 2, -100]
    assert has_ignored(read(labels))
    assert not has_ignored(LABELS)


def test_targets_are_the_largest_probabilities_where_a_mask_counts():
    rows = torch.tensor([[0.6, 0.4, 0.0], [0.1, 0.1, 0.8], [0.2, 0.5, 0.3], [1.0, 0.0, 0.0]])
    mask = torch.tensor([True, True, True, False])
    assert target_of({"student_logits": LOGITS, "labels": rows, "mask": mask}).tolist() == [0, 2, 1, -100]


def lenient(labels, reader=None):
    return (reader or LabelReader()).read({"student_logits": LOGITS, "labels": labels}, needed=False, check=True)


def test_labels_that_nobody_needs_do_not_count_where_they_are_no_classes():
    assert lenient(LABELS - 1)["labels"].tolist() == [-100, 1, 0, 1]
    assert lenient(LABELS + 0.5)["labels"].tolist() == [-100] * 4


def test_labels_that_nobody_needs_are_left_out_and_said_once(monkeypatch):
    said, reader = [], LabelReader()
    monkeypatch.setattr("lightning_abkd.training._log_once.rank_zero_info", said.append)
    for _ in range(2):
        assert list(lenient(torch.zeros(4, 7), reader)) == ["student_logits"]
    assert len(said) == 1
    assert "Labels are left out, because no loss takes them and they cannot be read. Labels should be" in said[0]


@pytest.mark.parametrize(("logits", "labels"), [((2, 5, 4), (2, 4)), ((2, 5, 3, 4), (2, 3, 4))])
@pytest.mark.parametrize("needed", [True, False])
def test_classes_as_the_second_axis_are_refused(logits, labels, needed):
    signals = {"student_logits": torch.zeros(logits), "labels": torch.zeros(labels, dtype=torch.int64)}
    with pytest.raises(ValueError, match=r"Classes are the last axis: .* `logits.movedim\(1, -1\)`"):
        LabelReader().read(signals, needed, check=False)


def test_labels_that_are_needed_are_checked():
    with pytest.raises(ValueError, match="Labels should lie between 0 and 2"):
        LabelReader().read({"student_logits": LOGITS, "labels": LABELS + 1}, needed=True, check=True)
