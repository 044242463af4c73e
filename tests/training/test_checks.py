import pytest
import torch

from lightning_abkd.training._checks import check_labels, logits_of


def test_output_without_logits_is_an_error():
    with pytest.raises(TypeError, match="The student should return a tensor of logits.*Found dict"):
        logits_of({}, "student")


@pytest.mark.parametrize("labels", [[-100, 0, 2], [-100], [], [0, 2]])
def test_ignored_labels_are_no_error(labels):
    check_labels(torch.tensor(labels, dtype=torch.int64), 3)


@pytest.mark.parametrize("label", [-1, 3])
def test_label_outside_the_classes_is_an_error(label):
    for labels in ([label], [-100, label, 1]):
        with pytest.raises(ValueError, match="Labels should lie between 0 and 2"):
            check_labels(torch.tensor(labels), 3)
